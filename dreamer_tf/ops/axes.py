"""Leading axes of batches."""

import tensorflow as tf


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
