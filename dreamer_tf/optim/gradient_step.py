"""One optimiser with everything that belongs to a step: checks, clipping, metrics."""

import tensorflow as tf

from dreamer_tf.optim.clipping import tensor_norms


class GradientStep(tf.Module):
    """Checks gradients, clips them, and applies them with an optimiser.

    A step whose loss or gradient norm is not finite changes nothing, slots included, and is
    reported by the metric ``nonfinite``.
    """

    def __init__(self, name, variables, optimizer, clip):
        """Creates the optimiser's slots.

        Args:
          name: Prefix of the metrics.
          variables: The Keras variables to train.
          optimizer: Keras optimiser that is not built yet.
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
