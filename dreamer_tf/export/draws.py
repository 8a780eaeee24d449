"""Random numbers without a generator that remembers: stateless graphs draw from what they are fed.

Both classes have the methods of ``tf.random.Generator`` that policies use.
"""

import tensorflow as tf


class RowDraws:
    """Draws that depend on a seed for each row of a batch.

    What one row draws does not depend on the other rows: it decides the same alone and in a batch
    that a server put together from the requests of many clients. The d-th call for row i draws
    ``tf.random.stateless_normal`` or ``stateless_uniform`` with the seed
    ``[seeds[i, 0] + 7919 d, seeds[i, 1]]``, in the shape that was asked for with the rows' axis
    divided by their number.
    """

    STRIDE = 7919

    def __init__(self, seeds):
        """Takes the seeds.

        Args:
          seeds: ``[N, 2]`` int32.
        """
        self._seeds = seeds
        self._calls = 0

    def normal(self, shape):
        """Standard normal draws; one length of the shape is a tensor, a multiple of N."""
        return self._draw(tf.random.stateless_normal, shape)

    def uniform(self, shape):
        """Uniform draws in [0, 1); the shape as for `normal`."""
        return self._draw(tf.random.stateless_uniform, shape)

    def _draw(self, function, shape):
        [axis] = [axis for axis, length in enumerate(shape) if tf.is_tensor(length)]
        own = list(shape)
        own[axis] = shape[axis] // tf.shape(self._seeds)[0]
        offset = tf.constant([self.STRIDE * self._calls, 0])
        self._calls += 1
        rows = tf.map_fn(
            lambda seed: function(own, seed + offset), self._seeds, fn_output_signature=tf.float32
        )
        # [N, ..., own, ...] to [..., N own, ...]: what belongs to a row stays together.
        order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1)]
        whole = [-1 if index == axis else length for index, length in enumerate(shape)]
        return tf.reshape(tf.transpose(rows, order), whole)


class FedDraws:
    """Draws that are inputs of the graph, for runtimes that cannot draw.

    A first pass without values finds out what is drawn; ``specs`` then says it.

    Attributes:
      specs: List of (``normal`` or ``uniform``, shape), in the order of the calls.
    """

    def __init__(self, values=None):
        """Takes the draws.

        Args:
          values: List of tensors in the order of the calls; None: zeros.
        """
        self._values = values
        self.specs = []

    def normal(self, shape):
        """The next draws, standard normal ones."""
        return self._next("normal", shape)

    def uniform(self, shape):
        """The next draws, uniform ones in [0, 1)."""
        return self._next("uniform", shape)

    def _next(self, kind, shape):
        self.specs.append((kind, list(shape)))
        return tf.zeros(shape) if self._values is None else self._values[len(self.specs) - 1]
