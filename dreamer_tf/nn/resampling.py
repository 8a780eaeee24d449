"""Convolutions that halve or double an image, each computed in the quickest equal way.

All kernels are ``[k, k, inputs, outputs]`` and all borders are filled with zeros, so that a size
changes by its factor alone.
"""

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.nn.initializers import fan_in_normal


class SameConv(keras.layers.Layer):
    """Convolution that keeps the size of the image; the base of those that change it.

    Attributes:
      factor: Height of the output over that of the input.
    """

    factor = 1.0

    def __init__(self, filters, kernel_size, *, initializer=None, **kwargs):
        """Describes the layer.

        Args:
          filters: Channels of the output.
          kernel_size: Height and width of the kernel (k).
          initializer: Keras initialiser of the kernel; None: `fan_in_normal`.
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.initializer = keras.initializers.get(initializer or fan_in_normal())

    def get_config(self):
        config = {"filters": self.filters, "kernel_size": self.kernel_size}
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), **config, "initializer": initializer}

    def build(self, channels):
        """Creates the weights for inputs ``[N, height, width, channels]``."""
        size = (self.kernel_size, self.kernel_size, channels, self.filters)
        self.kernel = self.add_weight(shape=size, initializer=self.initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        """``[N, height, width, channels]`` to ``[N, height · factor, width · factor, filters]``."""
        x, kernel, bias = (tf.cast(value, self.compute_dtype) for value in (x, *self._weights()))
        return self._convolve(x, kernel, bias)

    def _weights(self):
        return self.kernel, self.bias

    def _convolve(self, x, kernel, bias):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)


class PooledConv(SameConv):
    """Convolution, then the largest of each 2×2 outputs."""

    factor = 0.5

    def _convolve(self, x, kernel, bias):
        # The largest does not change when all grow by the same: the bias comes last, and is added
        # to a quarter as many numbers.
        largest = tf.nn.max_pool2d(tf.nn.conv2d(x, kernel, 1, "SAME"), 2, 2, "VALID")
        return tf.nn.bias_add(largest, bias)


class StridedConv(SameConv):
    """Convolution of stride 2."""

    factor = 0.5

    def _convolve(self, x, kernel, bias):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 2, "SAME"), bias)


class DoublingConv(SameConv):
    """Convolution on an image of twice the size that is made from the input pixel by pixel.

    The larger image is never made. Of the outputs, those of even and odd rows and columns are four
    images of the input's size; each is a convolution of the input with a smaller kernel, whose
    weights are sums of the layer's. One convolution with all four kernels side by side computes
    them, with 36 instead of 100 products a pixel for k = 5.

    Subclasses say where the pixels of the larger image come from, in `source`.
    """

    factor = 2.0

    def build(self, channels):
        """Creates the weights for inputs ``[N, height, width, channels]``."""
        super().build(channels)
        self._taps = self._plan()

    @staticmethod
    def source(position):
        """Which pixel of the input a pixel of the larger image is, or None if it is zero."""
        raise NotImplementedError

    def _plan(self):
        """Which weights of a row of the kernel add up to which of a smaller one.

        Returns:
          ``[2, m, k]`` of 0 and 1: for even and odd outputs, a kernel of m weights.
        """
        before = (self.kernel_size - 1) // 2
        sources = [
            [self.source(parity + k - before) for k in range(self.kernel_size)]
            for parity in range(2)
        ]
        radius = max(abs(s) for row in sources for s in row if s is not None)
        taps = np.zeros([2, 2 * radius + 1, self.kernel_size], np.float32)
        for parity, row in enumerate(sources):
            for k, source in enumerate(row):
                if source is not None:
                    taps[parity, source + radius, k] = 1.0
        return taps

    def _convolve(self, x, kernel, bias):
        taps = tf.constant(self._taps, x.dtype)
        kernels = tf.einsum("pak,qbl,klio->abipqo", taps, taps, kernel)
        size = taps.shape[1]
        kernels = tf.reshape(kernels, [size, size, kernel.shape[2], 4 * self.filters])
        y = tf.nn.bias_add(tf.nn.conv2d(x, kernels, 1, "SAME"), tf.tile(bias, [4]))
        return tf.nn.depth_to_space(y, 2)


class NearestConv(DoublingConv):
    """Convolution on an image whose pixels are each repeated in both directions."""

    @staticmethod
    def source(position):
        """Every pixel fills two places."""
        return position // 2


class InsertedConv(DoublingConv):
    """Convolution on an image with zeros between the pixels: transposed, of stride 2."""

    @staticmethod
    def source(position):
        """Pixels are at odd positions."""
        return position // 2 if position % 2 else None
