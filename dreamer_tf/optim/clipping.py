"""Ways of limiting gradients before an optimiser sees them.

A clip is called with a step's gradients, their norms and their variables, and returns the limited
gradients. It has no state.
"""

import re

import tensorflow as tf


class GlobalNormClip:
    """Scales all gradients together so that their global norm is at most ``limit``."""

    def __init__(self, limit):
        """Describes the clip.

        Args:
          limit: Largest global norm.
        """
        self.limit = limit

    def __call__(self, gradients, norms, variables):
        """Limits the gradients.

        Args:
          gradients: List of tensors.
          norms: ``[n]`` Euclidean norm of each gradient.
          variables: The variables that they belong to; not used.

        Returns:
          List of limited gradients.
        """
        scale = self.limit / tf.maximum(tf.norm(norms), self.limit)
        return [gradient * scale for gradient in gradients]


class AdaptiveClip:
    """Adaptive gradient clipping: no gradient is longer than a share of its own tensor.

    ``g ← g · min(1, ratio · max(min_norm, ‖w‖) / ‖g‖)`` with norms over whole tensors, as in
    DreamerV3. (The method's paper takes the norm of each output unit, arXiv:2102.06171.) Kernels
    that a layer keeps in parts, one for each of its inputs (``kernel_0``, ``kernel_1``, … of
    `dreamer_tf.nn.ConcatDense`), are one tensor here.
    """

    def __init__(self, ratio, min_norm=1e-3):
        """Describes the clip.

        Args:
          ratio: Largest norm of a gradient relative to that of its tensor.
          min_norm: A tensor counts as at least that long, so that one of zeros can move.
        """
        self.ratio = ratio
        self.min_norm = min_norm

    def __call__(self, gradients, norms, variables):
        """Limits the gradients, see `GlobalNormClip.__call__`."""
        # All norms in one vector: a handful of operations, not a handful for each variable.
        tensors = _tensor_indices(variables)
        weights = tensor_norms([variable.value for variable in variables])
        limits = self.ratio * tf.maximum(_join(weights, tensors), self.min_norm)
        scales = 1.0 / tf.maximum(_join(norms, tensors) / limits, 1.0)
        scales = tf.unstack(tf.gather(scales, tensors))
        return [g * scale for g, scale in zip(gradients, scales, strict=True)]


def tensor_norms(tensors):
    """Euclidean norm of each tensor, ``[n]``."""
    return tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(tensor) for tensor in tensors]))


def _tensor_indices(variables):
    """Number of the tensor that each variable is, or is a part of."""
    indices = []
    for variable in variables:
        is_next_part = re.fullmatch(r"kernel_[1-9]\d*", variable.name)
        last = indices[-1] if indices else -1
        indices.append(last if is_next_part else last + 1)
    return indices


def _join(norms, tensors):
    """Norms of whole tensors from those of their parts."""
    # XLA has no segment_sum for sorted indices.
    return tf.sqrt(tf.math.unsorted_segment_sum(tf.square(norms), tensors, tensors[-1] + 1))
