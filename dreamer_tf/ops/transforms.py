"""What becomes of values on their way through networks: scales of images and numbers, norms."""

import tensorflow as tf

IMAGE_OFFSET = 0.5
"""Network images are centred: x / 255 - 0.5, in [-0.5, 0.5]."""


# ---- Images, between bytes and the range that networks see.


def image_to_float(image):
    """Maps bytes to [-0.5, 0.5].

    Args:
      image: ``[..., height, width, channels]`` uint8.
    """
    return tf.cast(image, tf.float32) / 255.0 - IMAGE_OFFSET


def quantize_image(image, bits, noise):
    """Maps bytes to [-0.5, 0.5) with fewer levels, each filled by noise.

    ``⌊x / 2^(8 - bits)⌋ / 2^bits + noise / 2^bits - 0.5``. The noise turns a density model of the
    result into a bound on the likelihood of the levels, which no spike at a level can exploit.

    Args:
      image: ``[..., height, width, channels]`` uint8.
      bits: Bits of a colour that are kept, 1 to 8.
      noise: Uniform draws in [0, 1), of the image's shape; or a number, such as 0.5 for the middle
        of each level.

    Returns:
      float32 of the image's shape.

    Reference: arXiv:1811.04551, appendix A, after arXiv:1807.03039.
    """
    levels = 2.0**bits
    level = tf.floor(tf.cast(image, tf.float32) * (levels / 256.0))
    return (level + noise) / levels - IMAGE_OFFSET


def float_to_image(value):
    """Inverse of `image_to_float`, rounded and clipped to bytes.

    Args:
      value: ``[..., height, width, channels]`` floating.
    """
    scaled = tf.round((tf.cast(value, tf.float32) + IMAGE_OFFSET) * 255.0)
    return tf.cast(tf.clip_by_value(scaled, 0.0, 255.0), tf.uint8)


def shift_image(image, shift, reach):
    """Moves images by whole pixels; what comes in from outside repeats the edge.

    ``out[y, x] = image[y + dy - reach, x + dx - reach]``, both places clipped to the image: a shift
    of ``reach`` changes nothing.

    Args:
      image: ``[N, ..., height, width, channels]``.
      shift: ``[N, 2]``, or with more of the image's leading axes, int32 (dx, dy) from 0 to twice
        the reach.
      reach: Pixels that an image moves at most.

    Returns:
      The image's shape.
    """
    shared = shift.shape.rank - 1
    for axis, delta in (
        (image.shape.rank - 3, shift[..., 1]),
        (image.shape.rank - 2, shift[..., 0]),
    ):
        size = image.shape[axis]
        places = tf.clip_by_value(tf.range(size) + delta[..., None] - reach, 0, size - 1)
        image = tf.gather(image, places, axis=axis, batch_dims=shared)
    return image


# ---- Numbers whose scale is not known beforehand.
# Reference: arXiv:2301.04104, section "Robust predictions".


def symlog(x):
    """sign(x) · ln(1 + |x|): near zero the identity, far from it the logarithm."""
    return tf.sign(x) * tf.math.log1p(tf.abs(x))


def symexp(x):
    """sign(x) · (exp(|x|) - 1), the inverse of `symlog`."""
    return tf.sign(x) * tf.math.expm1(tf.abs(x))


# ---- Norms of activations.


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
            towards_scale = sum_to(towards_scaled * normed, scale.shape)
            towards_normed = towards_scaled * scale
            along = tf.reduce_mean(towards_normed * normed, axis, keepdims=True)
            return inverse * (towards_normed - normed * along), towards_scale

        return output, gradient

    return compute(x, scale)


def sum_to(x, shape):
    """Sums over the axes along which a tensor of ``shape`` was broadcast to that of ``x``."""
    new = x.shape.rank - shape.rank
    along = [new + i for i, size in enumerate(shape) if size == 1]
    return tf.reshape(tf.reduce_sum(x, [*range(new), *along]), shape)


@tf.custom_gradient
def gru_gates(projected, recurrent, state):
    """The gates of a GRU whose reset gate acts behind the recurrent product, and its next state.

    ::

        z, r, c = split(projected)        z', r', c' = split(recurrent)
        update = σ(z + z')    reset = σ(r + r')    candidate = tanh(c + reset · c')
        next = update · state + (1 - update) · candidate

    The gradient is written out for the same reason as that of `layer_norm`.

    Args:
      projected: ``[..., 3 D]``, the product with the input, bias included.
      recurrent: ``[..., 3 D]``, the product with the state, bias included.
      state: ``[..., D]``.

    Returns:
      ``[..., D]``.

    Reference: arXiv:1406.1078, with the reset gate as in cuDNN.
    """
    size = state.shape[-1]
    gates, candidate = tf.split(projected, [2 * size, size], -1)
    recurrent_gates, recurrent_candidate = tf.split(recurrent, [2 * size, size], -1)
    gates = tf.sigmoid(gates + recurrent_gates)
    update, reset = tf.split(gates, 2, -1)
    candidate = tf.tanh(candidate + reset * recurrent_candidate)
    difference = state - candidate

    def gradient(upstream):
        towards_state = upstream * update
        towards_sum = tf.raw_ops.TanhGrad(y=candidate, dy=upstream - towards_state)
        towards_gates = [upstream * difference, towards_sum * recurrent_candidate]
        towards_gates = tf.raw_ops.SigmoidGrad(y=gates, dy=tf.concat(towards_gates, -1))
        towards_projected = tf.concat([towards_gates, towards_sum], -1)
        towards_recurrent = tf.concat([towards_gates, towards_sum * reset], -1)
        return towards_projected, towards_recurrent, towards_state

    return candidate + update * difference, gradient
