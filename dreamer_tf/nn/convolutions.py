"""Image encoder and decoder of PlaNet, Dreamer and DreamerV2 (arXiv:1803.10122, appendix A.1)."""

import keras
import tensorflow as tf

from dreamer_tf.nn.dense import NormAct

DECODER_KERNELS = {64: (5, 5, 6, 6), 32: (5, 6, 6), 16: (6, 6)}
"""Kernel sizes that grow 1×1 to the image size with stride 2, and so the sizes that are served.

64 is the papers'; the encoder has as many layers as the decoder.
"""


def check_image_size(height, width):
    """Raises a ValueError unless images of this size can be encoded and decoded."""
    if height != width or height not in DECODER_KERNELS:
        known = ", ".join(f"{size}×{size}" for size in DECODER_KERNELS)
        raise ValueError(
            f"the convolutional networks serve images of {known}; got {height}×{width}. "
            "Set env.image_size to one of them."
        )


class ImageEncoder(keras.Model):
    """Convolutions of kernel 4 and stride 2, channels depth · (1, 2, 4, 8), flattened."""

    def __init__(self, depth, *, activation="relu", norm="none", dtype="float32", **kwargs):
        """Describes the network.

        Args:
          depth: Channels of the first layer.
          activation: Of every layer.
          norm: Of every layer, over the channels, before the activation, see `NormAct`.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.depth = depth
        self.activation = activation
        self.norm = norm
        self.convs, self.acts = [], []

    def build(self, shape):
        """Creates the weights.

        Args:
          shape: (height, width, channels) of the images.
        """
        height, width, channels = shape
        check_image_size(height, width)
        size = height
        for index in range(len(DECODER_KERNELS[height])):
            name = f"conv{index + 1}"
            filters = self.depth * 2**index
            conv = keras.layers.Conv2D(filters, 4, 2, dtype=self.dtype_policy, name=name)
            conv.build((None, size, size, channels))
            act = NormAct(self.norm, self.activation, dtype=self.dtype_policy, name=f"{name}_act")
            act.build(filters)
            size, channels = (size - 4) // 2 + 1, filters
            self.convs.append(conv)
            self.acts.append(act)
        self.output_size = size * size * channels

    def call(self, image):
        """``[N, height, width, channels]`` in [-0.5, 0.5] to ``[N, E]``."""
        x = image
        for conv, act in zip(self.convs, self.acts, strict=True):
            x = act(conv(x))
        return tf.reshape(x, [-1, self.output_size])


class ImageDecoder(keras.Model):
    """A dense layer to 1×1, then transposed convolutions of stride 2.

    Activations are between the convolutions: neither the dense layer nor the image has one.
    """

    def __init__(self, depth, *, activation="relu", norm="none", dtype="float32", **kwargs):
        """Describes the network.

        Args:
          depth: Channels before the last layer; earlier layers have multiples of it.
          activation: Between the convolutions.
          norm: Before each activation, over the channels, see `NormAct`.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.depth = depth
        self.activation = activation
        self.norm = norm
        self.deconvs, self.acts = [], []

    def build(self, feat_size, shape):
        """Creates the weights.

        Args:
          feat_size: Width of the features (F).
          shape: (height, width, channels) of the images.
        """
        height, width, channels = shape
        check_image_size(height, width)
        kernels = DECODER_KERNELS[height]
        first = self.depth * 2 ** len(kernels) * 2
        self.dense = keras.layers.Dense(first, dtype=self.dtype_policy, name="dense")
        self.dense.build((None, feat_size))
        filters = [self.depth * 2**index for index in reversed(range(len(kernels) - 1))]
        size, inputs = 1, first
        for index, kernel in enumerate(kernels):
            name = f"deconv{index + 1}"
            outputs = [*filters, channels][index]
            deconv = UpsamplingConv(outputs, kernel, dtype=self.dtype_policy, name=name)
            deconv.build((None, size, size, inputs))
            size, inputs = (size - 1) * 2 + kernel, outputs
            self.deconvs.append(deconv)
            if index < len(filters):
                name = f"{name}_act"
                act = NormAct(self.norm, self.activation, dtype=self.dtype_policy, name=name)
                act.build(outputs)
                self.acts.append(act)

    def call(self, feat):
        """``[N, F]`` to the images' mean ``[N, height, width, channels]``, float32."""
        x = self.dense(feat)
        x = tf.reshape(x, [-1, 1, 1, x.shape[-1]])
        for deconv, act in zip(self.deconvs[:-1], self.acts, strict=True):
            x = act(deconv(x))
        return tf.cast(self.deconvs[-1](x), tf.float32)


# With fewer filters, as the channels of images are, the general kernel takes three times as long.
_FEWEST_FILTERS = 8


class UpsamplingConv(keras.layers.Conv2DTranspose):
    """Transposed convolution of stride 2 without padding, computed in the quickest equal way.

    On a 1×1 input the layer is a plain matrix product, and TensorFlow's general kernel takes
    several times as long for it. With few filters and an even kernel it is a plain convolution, see
    `_upsample`.
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(filters, kernel_size, strides=2, padding="valid", **kwargs)

    def call(self, x):
        """``[N, n, n, inputs]`` to ``[N, 2(n-1)+k, 2(n-1)+k, filters]``."""
        height, width, filters, inputs = self.kernel.shape
        kernel = tf.cast(self.kernel, x.dtype)
        if x.shape[1:3] == (1, 1):
            kernel = tf.reshape(kernel, [-1, inputs])
            y = tf.matmul(tf.reshape(x, [-1, inputs]), kernel, transpose_b=True)
            y = tf.reshape(y, [-1, height, width, filters])
        elif filters < _FEWEST_FILTERS and height == width and height % 2 == 0:
            y = _upsample(x, kernel)
        else:
            return super().call(x)
        return self.activation(y + tf.cast(self.bias, x.dtype))


@tf.custom_gradient
def _upsample(x, kernel):
    """Transposed convolution of stride 2 as a convolution with the four phases of its kernel.

    ::

        y[2q + r] = Σ_j x[q - j] · kernel[2j + r],   r = 0, 1,   in both directions

    The gradients are those of the transposed convolution, which are quick.

    Args:
      x: ``[N, n, n, inputs]``.
      kernel: ``[2m, 2m, filters, inputs]``.

    Returns:
      ``[N, 2(n-1)+2m, 2(n-1)+2m, filters]``.
    """
    size, _, filters, inputs = kernel.shape
    half = size // 2
    phases = tf.reverse(tf.reshape(kernel, [half, 2, half, 2, filters, inputs]), [0, 2])
    phases = tf.transpose(phases, [0, 2, 5, 1, 3, 4])
    phases = tf.reshape(phases, [half, half, inputs, 4 * filters])
    around = [half - 1, half - 1]
    y = tf.nn.conv2d(x, phases, 1, [[0, 0], around, around, [0, 0]])

    def gradient(upstream):
        towards_x = tf.nn.conv2d(upstream, kernel, 2, "VALID")
        towards_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=upstream,
            filter_sizes=kernel.shape,
            out_backprop=x,
            strides=[1, 2, 2, 1],
            padding="VALID",
        )
        return towards_x, towards_kernel

    return tf.nn.depth_to_space(y, 2), gradient
