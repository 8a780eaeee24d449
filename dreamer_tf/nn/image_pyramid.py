"""Image encoder and decoder of DreamerV3, for every size that can be halved often enough."""

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.nn.block_gru import BlockDense, to_blocks
from dreamer_tf.nn.dense import MLP, RMSNormSiLU, fan_in_normal, rms_silu_layers
from dreamer_tf.ops import IMAGE_OFFSET


class Pyramid:
    """Sizes and channels of the levels that encoder and decoder pass, one below and one above.

    Level 0 is the image. With ``outer``, the first level has the image's own size.
    """

    def __init__(self, depth, multiples, *, kernel_size=5, resampling="pool", outer=False):
        """Describes the levels.

        Args:
          depth: Channels are multiples of it.
          multiples: Of each level.
          kernel_size: Of all convolutions.
          resampling: ``pool``: the encoder takes the largest of 2×2 outputs, the decoder repeats
            pixels; ``stride``: convolutions of stride 2, plain and transposed.
          outer: Whether the first level has the size of the image instead of half of it.
        """
        self.channels = [depth * multiple for multiple in multiples]
        self.kernel_size = kernel_size
        halving, doubling = RESAMPLING[resampling]
        self.halving = [halving] * len(multiples)
        self.doubling = [doubling] * len(multiples)
        if outer:
            self.halving[0] = self.doubling[0] = SameConv

    def smallest(self, shape):
        """(height, width) of the last level of images of a shape.

        Raises:
          ValueError: If the image cannot be halved as often; the nearest sizes are named.
        """
        factor = round(1 / np.prod([conv.factor for conv in self.halving]))
        height, width = shape[:2]
        if height % factor or width % factor:
            nearest = [f"{max(round(size / factor), 1) * factor}" for size in (height, width)]
            raise ValueError(
                f"image height and width must be multiples of {factor}, the nearest is "
                f"{'×'.join(nearest)}; got {height}×{width}"
            )
        return height // factor, width // factor


class PyramidEncoder(keras.Model):
    """Convolutions down the pyramid, each followed by `RMSNormSiLU` over the channels; flattened.

    Reference: arXiv:2301.04104, section "Network architecture".
    """

    def __init__(self, pyramid, *, dtype="float32", **kwargs):
        """Describes the network.

        Args:
          pyramid: `Pyramid`.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self._pyramid = pyramid
        self.convs = [
            conv(channels, pyramid.kernel_size, dtype=dtype, name=f"conv{index}")
            for index, (conv, channels) in enumerate(
                zip(pyramid.halving, pyramid.channels, strict=True)
            )
        ]
        self.norms = [
            RMSNormSiLU(dtype=dtype, name=f"conv{index}_norm") for index in range(len(self.convs))
        ]

    def build(self, shape):
        """Creates the weights.

        Args:
          shape: (height, width, channels) of the images.
        """
        channels = shape[2]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            conv.build(channels)
            norm.build(conv.filters)
            channels = conv.filters
        self.output_size = int(np.prod(self._pyramid.smallest(shape))) * channels

    def call(self, image):
        """``[N, height, width, channels]`` in [-0.5, 0.5] to ``[N, E]``."""
        x = image
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x))
        return tf.reshape(x, [-1, self.output_size])


class PyramidDecoder(keras.Model):
    """From the latent state to a small image, then convolutions up the pyramid.

    The small image is the sum of two, of the deterministic state through a layer in blocks and of
    the stochastic state through an MLP::

        deter ─► space_deter ───────────────┐
                                            ├─► + ─► norm ─► conv ─► norm ─► … ─► conv ─► σ
        stoch ─► space_stoch, two layers ───┘

    Reference: arXiv:2301.04104, section "Network architecture".
    """

    def __init__(self, pyramid, units, blocks, *, dtype="float32", **kwargs):
        """Describes the network.

        Args:
          pyramid: `Pyramid`.
          units: The layer of the stochastic state has twice this width.
          blocks: Blocks of the layer of the deterministic state.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self._pyramid = pyramid
        self.units = units
        self.blocks = blocks

    def build(self, deter_size, stoch_size, shape):
        """Creates the weights.

        Args:
          deter_size: Width of the deterministic state (D).
          stoch_size: Width of the stochastic state (S).
          shape: (height, width, channels) of the images.

        Raises:
          ValueError: If the blocks do not divide the channels of the smallest image.
        """
        pyramid, dtype = self._pyramid, self.dtype_policy
        *channels, widest = pyramid.channels
        height, width = pyramid.smallest(shape)
        if widest % self.blocks:
            raise ValueError(
                f"the {self.blocks} blocks of the layer to the smallest image cannot share its "
                f"{widest} channels alike, which are depth times the last of the multiples"
            )
        self._small = (height, width, widest)
        size = height * width * widest
        self.space_deter = BlockDense(size, self.blocks, dtype=dtype, name="space_deter")
        self.space_deter.build(deter_size)
        self.space_stoch = MLP(
            1,
            2 * self.units,
            size,
            dtype=dtype,
            name="space_stoch",
            **rms_silu_layers(),
        )
        self.space_stoch.build(stoch_size)
        self.space_norm = RMSNormSiLU(dtype=dtype, name="space_norm")
        self.space_norm.build(widest)
        # Numbered as the levels that they lead to, the image's own being the last.
        self.convs, self.norms = [], []
        inputs = widest
        for level in reversed(range(len(channels))):
            conv = pyramid.doubling[level + 1]
            conv = conv(channels[level], pyramid.kernel_size, dtype=dtype, name=f"conv{level}")
            conv.build(inputs)
            norm = RMSNormSiLU(dtype=dtype, name=f"conv{level}_norm")
            inputs = channels[level]
            norm.build(inputs)
            self.convs.append(conv)
            self.norms.append(norm)
        self.out = pyramid.doubling[0](shape[2], pyramid.kernel_size, dtype=dtype, name="conv_out")
        self.out.build(inputs)

    def call(self, deter, stoch):
        """``[N, D]`` and ``[N, S]`` to the images' mean ``[N, height, width, channels]``.

        Float32 in [-0.5, 0.5].
        """
        x = self.space_norm(self._space(deter) + self._unflatten(self.space_stoch(stoch)))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x))
        return tf.sigmoid(tf.cast(self.out(x), tf.float32)) - IMAGE_OFFSET

    def _space(self, deter):
        # Each block makes its own channels of the small image.
        blocks = self.space_deter(to_blocks(deter, self.blocks))
        height, width, channels = self._small
        x = tf.reshape(blocks, [self.blocks, -1, height, width, channels // self.blocks])
        return tf.reshape(tf.transpose(x, [1, 2, 3, 0, 4]), [-1, *self._small])

    def _unflatten(self, x):
        return tf.reshape(x, [-1, *self._small])


# ---- The convolutions of the levels, each computed in the quickest equal way. All kernels are
# ``[k, k, inputs, outputs]`` and all borders are filled with zeros, so that a size changes by its
# factor alone.


class SameConv(keras.layers.Layer):
    """Convolution that keeps the size of the image; the base of those that change it.

    Attributes:
      factor: Height of the output over that of the input.
    """

    factor = 1.0

    def __init__(self, filters, kernel_size, **kwargs):
        """Describes the layer.

        Args:
          filters: Channels of the output.
          kernel_size: Height and width of the kernel (k).
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, channels):
        """Creates the weights for inputs ``[N, height, width, channels]``."""
        size = (self.kernel_size, self.kernel_size, channels, self.filters)
        self.kernel = self.add_weight(shape=size, initializer=fan_in_normal(), name="kernel")
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


RESAMPLING = {"pool": (PooledConv, NearestConv), "stride": (StridedConv, InsertedConv)}
"""Convolutions that halve the image in the encoder, and those that double it in the decoder."""
