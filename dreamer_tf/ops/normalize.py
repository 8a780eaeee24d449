"""Normalisation of activations."""

import tensorflow as tf


@tf.custom_gradient
def layer_norm(x, scale, offset, epsilon):
    """Layer normalisation over the last axis.

    ``y = (x - mean) / √(variance + ε) · scale + offset``, mean and variance over the last axis.

    The gradient is written out because a recurrent model normalises at every step: it takes about
    half as many operations and passes over the data as automatic differentiation.

    Args:
      x: ``[..., F]`` float32.
      scale: ``[F]``.
      offset: ``[F]``.
      epsilon: Number, without gradient.

    Returns:
      ``[..., F]``.

    Reference: arXiv:1607.06450, equation 4.
    """
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + epsilon)
    normed = centred * inverse

    def gradient(upstream):
        leading = list(range(x.shape.rank - 1))
        towards_scale = tf.reduce_sum(upstream * normed, leading)
        towards_offset = tf.reduce_sum(upstream, leading)
        towards_normed = upstream * scale
        along = tf.reduce_mean(towards_normed * normed, -1, keepdims=True)
        mean = tf.reduce_mean(towards_normed, -1, keepdims=True)
        towards_x = inverse * (towards_normed - mean - normed * along)
        return towards_x, towards_scale, towards_offset, None

    return normed * scale + offset, gradient


def rms_norm_silu(x, scale, epsilon, axis=-1):
    """Root mean square normalisation, then SiLU.

    ``n = x / √(mean(x²) + ε)``, ``y = n · scale``, result ``y · sigmoid(y)``: the mean is not
    subtracted, and there is no offset.

    The two are one function because every hidden layer of DreamerV3 ends in both: their gradient,
    written out, takes about half as many passes over the data as automatic differentiation.

    Args:
      x: ``[..., F]`` float32.
      scale: ``[F]``, or any shape that broadcasts against that of ``x``.
      epsilon: Number.
      axis: Axis or axes that the mean goes over.

    Returns:
      ``[..., F]``.

    Reference: arXiv:1910.07467, equation 4; arXiv:1606.08415.
    """

    @tf.custom_gradient
    def compute(x, scale):
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis, keepdims=True) + epsilon)
        normed = x * inverse
        scaled = normed * scale
        gate = tf.sigmoid(scaled)
        output = scaled * gate

        def gradient(upstream):
            towards_scaled = upstream * (gate + output * (1.0 - gate))
            towards_scale = _sum_to(towards_scaled * normed, scale.shape)
            towards_normed = towards_scaled * scale
            along = tf.reduce_mean(towards_normed * normed, axis, keepdims=True)
            return inverse * (towards_normed - normed * along), towards_scale

        return output, gradient

    return compute(x, scale)


def _sum_to(x, shape):
    """Sums over the axes along which a tensor of ``shape`` was broadcast to that of ``x``."""
    new = x.shape.rank - shape.rank
    along = [new + i for i, size in enumerate(shape) if size == 1]
    return tf.reshape(tf.reduce_sum(x, [*range(new), *along]), shape)
