"""Losses that are weighed by what is learned (HarmonyDream, arXiv:2310.00344)."""

import keras
import tensorflow as tf

from dreamer_tf.agents.base import weighted_sum


class LogScales(keras.Model):
    """A number for each of several losses: ln σ, zero at first.

    Attributes:
      values: Dict of name to the variable.
    """

    def __init__(self, names, **kwargs):
        """Creates them.

        Args:
          names: Of the losses.
          **kwargs: Keras model arguments.
        """
        super().__init__(**kwargs)
        self.values = {
            name: self.add_weight(shape=(), initializer="zeros", name=name) for name in names
        }
        self.built = True


class Harmony(tf.Module):
    """Takes the place of `weighted_sum`: three of the losses are weighed by learned scales.

    ::

        L / σ + ln(1 + σ)        for rewards, observations and KL; s = ln σ is learned

    Where L stands still, σ comes to (L + √(L² + 4L)) / 2, about L + 1 for a large one: each of the
    three then weighs less than 1, whatever its size. The losses have to be positive. The other
    losses keep their weights.

    Reference: arXiv:2310.00344, equation 6.
    """

    def __init__(self, observations, *, kl=None, kl_regularizer=1.0):
        """Says which losses are weighed.

        Args:
          observations: Names of the losses that share one scale.
          kl: Dict of the losses of the KL divergence to their shares in what is weighed as one;
            None: ``kl`` alone.
          kl_regularizer: Weight of ln(1 + σ) of the KL divergence.
        """
        super().__init__(name="harmony")
        self.shares = {
            "reward": {"reward": 1.0},
            "image": dict.fromkeys(observations, 1.0),
            "kl": kl or {"kl": 1.0},
        }
        self.regularizers = {"reward": 1.0, "image": 1.0, "kl": kl_regularizer}
        self.log_scales = LogScales(self.shares, name="harmony")

    @property
    def networks(self):
        """Dict of the one network: the scales, which an optimiser has to move."""
        return {"harmony": self.log_scales}

    def __call__(self, losses, scales):
        """The loss that an optimiser sees, see `weighted_sum`.

        Args:
          losses: Dict of name to a loss of any shape.
          scales: Dict of the same names to weights, without effect on those that are weighed here.

        Returns:
          Scalar, and dict of the means without weights, ``<name>_loss``, and of the scales σ,
          ``harmony_<name>``.

        Raises:
          ValueError: As `weighted_sum`.
        """
        ours = {name: 0.0 for group in self.shares.values() for name in group}
        total, metrics = weighted_sum(losses, scales | ours)
        for group, shares in self.shares.items():
            s = tf.convert_to_tensor(self.log_scales.values[group].value)
            loss = sum(share * metrics[f"{name}_loss"] for name, share in shares.items())
            total += loss * tf.exp(-s) + self.regularizers[group] * tf.math.softplus(s)
            metrics[f"harmony_{group}"] = tf.exp(s)
        return total, metrics


def make_harmony(config, objective):
    """What weighs the losses of DreamerV3 by learned scales; None: the options do not want it.

    Args:
      config: `DreamerV3Config`.
      objective: `Objective` of the world model.

    Raises:
      ValueError: If the objective has no decoder, or the KL term no weight.
    """
    if not config.harmony:
        return None
    if not objective.decoder:
        raise ValueError(
            "dreamerv3.harmony weighs the losses of observations, which only the objective "
            f"reconstruction has; got {config.objective}"
        )
    # The KL terms share a scale by their weights; what regularises it goes with the first.
    if not config.loss_scales.dyn:
        raise ValueError("dreamerv3.harmony weighs the KL terms by loss_scales.dyn, which is 0")
    dyn = config.loss_scales.dyn / (config.loss_scales.dyn + config.loss_scales.rep)
    return Harmony(
        objective.decoder.images or objective.decoder.keys,
        kl={"dyn": dyn, "rep": 1.0 - dyn},
        kl_regularizer=dyn,
    )
