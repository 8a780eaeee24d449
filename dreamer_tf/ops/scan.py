"""The one loop over time."""

import tensorflow as tf


def scan(step, state, inputs, length):
    """Runs ``state = step(state, inputs[t])`` for t = 0 … length-1 and stacks the states.

    The loop is unrolled into the graph: the scheduler can overlap neighbouring steps, and
    backpropagation needs no stacks of saved tensors, but tracing takes longer (docs/performance.md
    compares). ``length`` is therefore a Python int, and part of the trace.

    Args:
      step: Function of a state and one time slice of ``inputs`` to the next state. States are
        nested structures of tensors ``[N, ...]`` and keep their structure.
      state: State before the first step.
      inputs: Nested structure of tensors ``[T, N, ...]``, time first.
      length: Number of steps; T must be at least this.

    Returns:
      States after each step, the structure of ``state`` with tensors ``[length, N, ...]``.
    """
    states = unroll(step, state, inputs, length)
    return tf.nest.map_structure(lambda *xs: tf.stack(xs, axis=0), *states)


def unroll(step, state, inputs, length):
    """`scan` without the stacking: a list of the states after each step.

    For whoever needs only parts of the states, or wants to stack something in front of them without
    copying all of it again.
    """
    flat_inputs = [tf.unstack(x, axis=0)[:length] for x in tf.nest.flatten(inputs)]
    states = []
    for t in range(length):
        inputs_t = tf.nest.pack_sequence_as(inputs, [x[t] for x in flat_inputs])
        state = step(state, inputs_t)
        states.append(state)
    return states
