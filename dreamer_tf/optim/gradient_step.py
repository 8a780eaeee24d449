"""One optimiser with everything that belongs to a step: checks, clipping, metrics.

A clip is called with a step's gradients, their norms and their variables, and returns the limited
gradients. It has no state.
"""

import re

import keras
import tensorflow as tf

from dreamer_tf.ops import mean_over_replicas


class GradientStep(tf.Module):
    """Checks gradients, clips them, and applies them with an optimiser.

    A step whose loss or gradient norm is not finite changes nothing, slots included, and is
    reported by the metric ``nonfinite``. On several devices all of this is about the loss and the
    gradients of the global batch: every replica makes the same step.
    """

    def __init__(self, name, variables, optimizer, clip):
        """Creates the optimiser's slots.

        Args:
          name: Prefix of the metrics.
          variables: The Keras variables to train.
          optimizer: `LocalOptimizer` that is not built yet.
          clip: How gradients are limited, such as `GlobalNormClip` or `AdaptiveClip`.
        """
        super().__init__(name=name)
        self.clip = clip
        self.targets = variables
        self.optimizer = optimizer
        self.optimizer.build(variables)

    def gradients(self, tape, loss):
        """Differentiates a scalar loss.

        Raises:
          ValueError: If the loss is not a scalar, or a variable gets no gradient; it is named.
        """
        if loss.shape != ():
            raise ValueError(f"{self.name}: expected a scalar loss, got shape {loss.shape}")
        gradients = tape.gradient(loss, [v.value for v in self.targets])
        pairs = zip(self.targets, gradients, strict=True)
        missing = [variable.path for variable, gradient in pairs if gradient is None]
        if missing:
            raise ValueError(f"{self.name}: no gradient reaches {', '.join(missing)}")
        return gradients

    def apply(self, loss, gradients):
        """Updates the variables.

        Args:
          loss: Scalar, only checked.
          gradients: As `gradients` returned them.

        Returns:
          Dict of metrics: the loss, the gradient norm before clipping, and ``<name>_nonfinite``
          (1 where the update was skipped).
        """
        loss, *gradients = mean_over_replicas([loss, *gradients])
        norms = tensor_norms(gradients)
        norm = tf.norm(norms)
        finite = tf.math.is_finite(loss) & tf.math.is_finite(norm)

        def update():
            clipped = self.clip(gradients, norms, self.targets)
            self.optimizer.apply(clipped, self.targets)
            return tf.constant(0.0)

        nonfinite = tf.cond(finite, update, lambda: tf.constant(1.0))
        return {
            f"{self.name}_loss": loss,
            f"{self.name}_grad_norm": norm,
            f"{self.name}_nonfinite": nonfinite,
        }


class LocalOptimizer(keras.optimizers.Optimizer):
    """Moves the variables of its own replica, by gradients that all replicas have in common.

    A `GradientStep` reduces them before its clip. Keras would add them up over replicas once more,
    which TensorFlow also refuses inside of a condition.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable.value, learning_rate)

    def _apply_weight_decay(self, variables):
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                value = variable.value
                value.assign_sub(
                    value * self.weight_decay * tf.cast(self.learning_rate, value.dtype)
                )


class GlobalNormClip:
    """Scales all gradients together so that their global norm is at most ``limit``."""

    def __init__(self, limit):
        """Describes the clip.

        Args:
          limit: Largest global norm; 0: any.
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
        if self.limit == 0:
            return gradients
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
