"""The KL divergence between posterior and prior as a loss.

`joint_kl` and `split_kl` say which of the two it moves, `FREE_NATS` below which value it moves
neither, and the classes put both together. A world model only needs the terms; an agent may weigh
and bound them itself.
"""

import tensorflow as tf

FREE_NATS = {
    "batch": lambda kl, nats: tf.maximum(tf.reduce_mean(kl), nats),
    "step": lambda kl, nats: tf.reduce_mean(tf.maximum(kl, nats)),
}
"""Mean of divergences ``[B, T]``, bounded from below: as a whole, or each before the mean."""


def joint_kl(kl, post, prior):
    """One term that moves both: ``kl`` = KL(post ‖ prior).

    Args:
      kl: Function of two dicts of stats to ``[...]`` nats.
      post: The posterior's stats.
      prior: The prior's stats.
    """
    return {"kl": kl(post, prior)}


def split_kl(kl, post, prior):
    """Two terms of the same value, one for each side, so that they can be weighed.

    ``dyn`` = KL(sg(post) ‖ prior) moves the prior only: the dynamics learn to predict.
    ``rep`` = KL(post ‖ sg(prior)) moves the posterior only: states become predictable.

    Args:
      kl: Function of two dicts of stats to ``[...]`` nats.
      post: The posterior's stats.
      prior: The prior's stats.

    Reference: arXiv:2010.02193, section 2, "KL balancing".
    """
    return {"dyn": kl(_stop(post), prior), "rep": kl(post, _stop(prior))}


class JointKL:
    """Mean over max(KL(post ‖ prior), free nats), with gradients to both sides."""

    def __init__(self, free_nats, forward=False):
        """Describes the loss.

        Args:
          free_nats: Smaller divergences of single states are not penalised.
          forward: Measure KL(prior ‖ post) instead.
        """
        self.free_nats = free_nats
        self.forward = forward

    def terms(self, kl, post, prior):
        """Dict of the ``[...]`` term, see `joint_kl`."""
        return joint_kl(_swap(kl) if self.forward else kl, post, prior)

    def value(self, losses):
        """The divergence itself, ``[...]``, out of a dict with the terms."""
        return losses["kl"]

    def loss(self, losses):
        """Scalar loss of a dict with the terms."""
        return FREE_NATS["step"](losses["kl"], self.free_nats)


class BalancedKL:
    """``α · KL(sg(post) ‖ prior) + (1 - α) · KL(post ‖ sg(prior))``, each with its free nats.

    Reference: arXiv:2010.02193, section 2, algorithm 2.
    """

    def __init__(self, balance, free_nats, free_nats_per="batch", forward=False):
        """Describes the loss.

        Args:
          balance: Share that moves the prior (α).
          free_nats: Smaller divergences are not penalised ...
          free_nats_per: ... in the mean over a ``batch``, or of each state (``step``).
          forward: Measure KL(prior ‖ post) instead.
        """
        self.balance = balance
        self.free_nats = free_nats
        self.bound = FREE_NATS[free_nats_per]
        self.forward = forward

    def terms(self, kl, post, prior):
        """Dict of the two ``[...]`` terms, see `split_kl`."""
        return split_kl(_swap(kl) if self.forward else kl, post, prior)

    def value(self, losses):
        """The divergence itself, ``[...]``, out of a dict with the terms."""
        return losses["dyn"]

    def loss(self, losses):
        """Scalar loss of a dict with the terms."""
        dyn, rep = (self.bound(losses[name], self.free_nats) for name in ("dyn", "rep"))
        return self.balance * dyn + (1.0 - self.balance) * rep


def _stop(stats):
    return tf.nest.map_structure(tf.stop_gradient, stats)


def _swap(kl):
    return lambda post, prior: kl(prior, post)
