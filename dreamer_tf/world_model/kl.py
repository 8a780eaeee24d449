"""The KL divergence between posterior and prior as a loss.

A way of using it has ``names``, those of its losses, and ``losses(kl, post, prior)``: which of the
two each loss moves, and below how many nats it moves neither.
"""

import tensorflow as tf

FREE_NATS = {
    "batch": lambda kl, nats: tf.maximum(tf.reduce_mean(kl), nats),
    "step": lambda kl, nats: tf.reduce_mean(tf.maximum(kl, nats)),
}
"""Mean of divergences ``[B, T]``, bounded from below: as a whole, or each before the mean."""


class JointKL:
    """max(KL(post ‖ prior), free nats), with gradients to both sides.

    Reference: arXiv:1811.04551, equation 3; arXiv:1912.01603, equation 10.
    """

    names = ("kl",)

    def __init__(self, free_nats, free_nats_per="step", forward=False):
        """Describes the loss.

        Args:
          free_nats: Smaller divergences are not penalised ...
          free_nats_per: ... in the mean over a ``batch``, or of each state (``step``).
          forward: Measure KL(prior ‖ post) instead.
        """
        self.free_nats = free_nats
        self.bound = FREE_NATS[free_nats_per]
        self.forward = forward

    def losses(self, kl, post, prior):
        """The loss of a batch.

        Args:
          kl: Function of two dicts of stats to ``[B, T]`` nats.
          post: The posterior's stats ``[B, T, ...]``.
          prior: The prior's stats.

        Returns:
          Dict of name to loss, scalar or ``[B, T]``, and the mean divergence itself.
        """
        value = kl(prior, post) if self.forward else kl(post, prior)
        return {"kl": self.bound(value, self.free_nats)}, tf.reduce_mean(value)


class BalancedKL:
    """``α · KL(sg(post) ‖ prior) + (1 - α) · KL(post ‖ sg(prior))``, each with its free nats.

    Reference: arXiv:2010.02193, section 2, algorithm 2.
    """

    names = ("kl",)

    def __init__(self, balance, free_nats, free_nats_per="batch", forward=False):
        """Describes the loss.

        Args:
          balance: Share that moves the prior (α).
          free_nats: As for `JointKL`.
          free_nats_per: As for `JointKL`.
          forward: Measure KL(prior ‖ post) instead.
        """
        self.balance = balance
        self.free_nats = free_nats
        self.bound = FREE_NATS[free_nats_per]
        self.forward = forward

    def losses(self, kl, post, prior):
        """The loss of a batch, see `JointKL.losses`."""
        dyn, rep = _two_sides(_swap(kl) if self.forward else kl, post, prior)
        bounded_dyn, bounded_rep = (self.bound(side, self.free_nats) for side in (dyn, rep))
        loss = self.balance * bounded_dyn + (1.0 - self.balance) * bounded_rep
        return {"kl": loss}, tf.reduce_mean(dyn)


class SplitKL:
    """Two losses, each from the free nats on, state by state, to be weighed like any other.

    ``dyn`` = KL(sg(post) ‖ prior) moves the prior only: the dynamics learn to predict.
    ``rep`` = KL(post ‖ sg(prior)) moves the posterior only: states become predictable.

    Reference: arXiv:2301.04104, equations 4 and 5.
    """

    names = ("dyn", "rep")

    def __init__(self, free_nats):
        """Describes the losses.

        Args:
          free_nats: Smaller divergences of single states are not penalised.
        """
        self.free_nats = free_nats

    def losses(self, kl, post, prior):
        """The losses of a batch, see `JointKL.losses`."""
        dyn, rep = _two_sides(kl, post, prior)
        losses = {"dyn": dyn, "rep": rep}
        bounded = {name: tf.maximum(side, self.free_nats) for name, side in losses.items()}
        return bounded, tf.reduce_mean(dyn)


def _two_sides(kl, post, prior):
    """The same value twice: with the gradient to the prior only, and to the posterior only."""
    return kl(_stop(post), prior), kl(post, _stop(prior))


def _stop(stats):
    return tf.nest.map_structure(tf.stop_gradient, stats)


def _swap(kl):
    return lambda post, prior: kl(prior, post)
