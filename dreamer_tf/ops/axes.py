"""Leading axes of batches."""

import tensorflow as tf


def leading_size(x):
    """Length of the first axis (N): an int, or a scalar tensor where the graph leaves it open."""
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


def open_shape(shape):
    """A static shape as `tf.reshape` takes it, which finds out one unknown length by itself."""
    return [-1 if length is None else length for length in shape]


def swap_time(x):
    """Exchanges the first two axes: ``[B, T, ...]`` to ``[T, B, ...]``, and back."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def flatten_time(x):
    """``[B, T, ...]`` to ``[N, ...]``, the rows of all sequences one after another."""
    return tf.reshape(x, [-1, *x.shape[2:]])


def merge_leading(x, event_ndims):
    """``[..., *event]`` to ``[N, *event]``.

    Args:
      x: Tensor of at least ``event_ndims`` axes.
      event_ndims: Number of trailing axes that stay, their lengths known.
    """
    if x.shape.rank == event_ndims + 1:
        return x
    return tf.reshape(x, [-1, *x.shape[x.shape.rank - event_ndims :]])


def restore_leading(flat, like, event_ndims):
    """The inverse of `merge_leading`: ``[N, ...]`` to the leading axes of ``like`` and the rest.

    Args:
      flat: ``[N, ...]``.
      like: ``[..., *event]``; its leading axes may be of unknown length.
      event_ndims: Number of trailing axes of ``like`` that are none of them.
    """
    ndims = like.shape.rank - event_ndims
    if ndims == 1:
        return flat
    static = like.shape[:ndims]
    leading = static if static.is_fully_defined() else tf.shape(like)[:ndims]
    return tf.reshape(flat, tf.concat([leading, flat.shape[1:]], axis=0))
