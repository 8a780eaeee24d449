"""Scaling of images between bytes and the range the networks see."""

import tensorflow as tf

IMAGE_OFFSET = 0.5
"""Network images are centred: x / 255 - 0.5, in [-0.5, 0.5]."""


def image_to_float(image, dtype=tf.float32):
    """Maps bytes to [-0.5, 0.5].

    Args:
      image: ``[..., height, width, channels]`` uint8.
      dtype: Floating type of the result.
    """
    return tf.cast(image, dtype) / 255.0 - IMAGE_OFFSET


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
