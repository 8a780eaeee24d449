"""The one loop over time."""

import tensorflow as tf

# Each unrolled step adds 0.1 to 0.3 s to the start of a run; a loop makes its updates up to a tenth
# slower where sequences are short, and no slower where they have 64 steps (docs/performance.md).
_LONGEST_UNROLLED = 50


def scan(step, state, inputs, length):
    """Runs ``state = step(state, inputs[t])`` for t = 0 … length-1 and stacks the states.

    Up to 50 steps are unrolled into the graph: the scheduler can overlap neighbouring steps,
    backpropagation needs no stacks of saved tensors, and gradients that nobody asked for are left
    out. More of them are a ``tf.while_loop``, whose body is traced once.

    Args:
      step: Function of a state and one time slice of ``inputs`` to the next state, a nested
        structure of tensors ``[N, ...]``. What it returns has the same structure, shapes and types
        each time; of ``state``, only what it reads has to be there.
      state: State before the first step.
      inputs: Nested structure of tensors ``[T, N, ...]``, time first.
      length: Number of steps, a Python int; T must be at least this.

    Returns:
      States after each step, the structure of what ``step`` returns with tensors
      ``[length, N, ...]``.
    """
    inputs = tf.nest.map_structure(lambda x: x[:length], inputs)
    run = _unroll if length <= _LONGEST_UNROLLED else _loop
    return run(step, state, inputs)


def _unroll(step, state, inputs):
    states = []
    for slices in zip(*map(tf.unstack, tf.nest.flatten(inputs)), strict=True):
        state = step(state, tf.nest.pack_sequence_as(inputs, slices))
        states.append(state)
    return tf.nest.map_structure(lambda *xs: tf.stack(xs), *states)


def _loop(step, state, inputs):
    """The first step stands before the loop, which learns from it what a state consists of."""
    first = step(state, tf.nest.map_structure(lambda x: x[0], inputs))
    rest = tf.nest.map_structure(lambda x: x[1:], inputs)
    later = tf.scan(step, rest, initializer=first)
    return tf.nest.map_structure(lambda x, xs: tf.concat([x[None], xs], axis=0), first, later)
