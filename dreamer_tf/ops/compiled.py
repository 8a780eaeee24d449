"""Compiled functions for calls that take less than a millisecond."""

import tensorflow as tf

# A small graph gains nothing from being spread over threads, and loses at every hand-over.
_EXECUTOR = "SINGLE_THREADED_EXECUTOR"


class FlatFunction:
    """A compiled function of nested tensors whose calls look neither at structures nor at shapes.

    A ``tf.function`` compares its arguments with those it was traced for, which takes longer than a
    small network. Here the caller says by a key which of them they are, and arrays become tensors
    within the one call.
    """

    def __init__(self, function):
        """Compiles nothing yet.

        Args:
          function: Function of nested structures of tensors that returns one; without control flow
            of Python that depends on a tensor.
        """
        self._function = function
        self._calls = {}

    def __call__(self, key, *args):
        """Calls the function; it is traced at the first call with a key, or with other types.

        Args:
          key: Hashable; equal keys mean equal structures and shapes of all arguments.
          *args: Nested structures of tensors or NumPy arrays.

        Returns:
          What the function returns.
        """
        flat = tf.nest.flatten(args)
        kind = (key, *[value.dtype for value in flat])
        if kind not in self._calls:
            # The graph may order its inputs in another way; their names say which is which.
            specs = [
                tf.TensorSpec(value.shape, value.dtype, name=f"input_{index}")
                for index, value in enumerate(flat)
            ]
            traced = tf.function(self._function, autograph=False).get_concrete_function(
                *tf.nest.pack_sequence_as(args, specs)
            )
            order = [int(x.op.name.rpartition("_")[2]) for x in traced.inputs[: len(flat)]]
            types = [output.dtype for output in traced.outputs]
            self._calls[kind] = traced, order, types, traced.captured_inputs
        traced, order, types, captured = self._calls[kind]
        results = tf.raw_ops.StatefulPartitionedCall(
            args=[*[flat[index] for index in order], *captured],
            Tout=types,
            f=traced,
            executor_type=_EXECUTOR,
        )
        return tf.nest.pack_sequence_as(traced.structured_outputs, results)

    def experimental_get_tracing_count(self):
        """How often the function was traced, as a ``tf.function`` tells it."""
        return len(self._calls)
