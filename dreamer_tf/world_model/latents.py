"""Kinds of stochastic state.

A latent turns the raw outputs of a network into the parameters of its distribution (``stats``, a
dict of tensors), samples from them with given noise, and compares two of them.

Behind them: how the KL divergence between posterior and prior enters the loss. A way of using it
has ``names``, those of its losses, and ``losses(kl, post, prior)``: which of the two each loss
moves, and below how many nats it moves neither.
"""

import tensorflow as tf

from dreamer_tf.distributions import OneHot, diagonal_gaussian, gaussian_kl
from dreamer_tf.ops import mean_over_replicas, open_shape

STD_ACTIVATIONS = {
    "softplus": tf.nn.softplus,
    "sigmoid": tf.sigmoid,
    "sigmoid2": lambda raw: 2.0 * tf.sigmoid(raw / 2.0),
}
"""What makes standard deviations positive; the last one is 1 at 0, with slope ½, and at most 2."""


class GaussianLatent:
    """S independent Gaussians with std = activation(·) + min_std.

    Reference: arXiv:1811.04551, appendix A.
    """

    def __init__(self, size, min_std=0.1, std_activation="softplus"):
        """Describes the latent.

        Args:
          size: Number of dimensions (S).
          min_std: Smallest standard deviation.
          std_activation: ``softplus`` (PlaNet, Dreamer), ``sigmoid``, or ``sigmoid2`` (DreamerV2),
            which is 2·sigmoid(·/2).
        """
        self.size = size
        self.min_std = min_std
        self.std_activation = STD_ACTIVATIONS[std_activation]
        self.outputs = 2 * size

    def stats(self, raw):
        """Network outputs ``[..., 2 S]`` to a dict of ``mean`` and ``std``, each ``[..., S]``."""
        mean, raw_std = tf.split(tf.cast(raw, tf.float32), 2, axis=-1)
        return {"mean": mean, "std": self.std_activation(raw_std) + self.min_std}

    def initial_stats(self, batch_size):
        """Stats of the state before any step: zeros ``[batch_size, S]``."""
        zeros = tf.zeros([batch_size, self.size])
        return {"mean": zeros, "std": zeros}

    def draws(self, rng, shape):
        """Draws for `sample`.

        Each state gets its own. (The authors' code draws one vector a step for the whole batch.)

        Args:
          rng: A ``tf.random.Generator``.
          shape: Leading shape, such as [T, B].

        Returns:
          Standard normal ``[*shape, S]``.
        """
        return rng.normal([*shape, self.size])

    def sample(self, stats, noise):
        """Reparameterised sample ``[..., S]``."""
        return stats["mean"] + stats["std"] * noise

    def mode(self, stats):
        """The likeliest state ``[..., S]``, the mean."""
        return stats["mean"]

    def kl(self, post, prior):
        """KL(post ‖ prior), ``[...]`` nats."""
        return gaussian_kl(post, prior)

    def entropy(self, stats):
        """Differential entropy, ``[...]`` nats."""
        return diagonal_gaussian(**stats).entropy()


class DeterministicLatent(GaussianLatent):
    """The Gaussians' means without their noise: the state of a purely deterministic model.

    Prior and posterior still are Gaussians to the KL term, which draws the predicted mean towards
    the informed one.

    Reference: arXiv:1811.04551, figure 2a; the option ``mean_only`` of its authors' code.
    """

    def draws(self, rng, shape):
        """There is nothing to draw: ``[*shape, 0]``."""
        return tf.zeros([*shape, 0])

    def sample(self, stats, noise):
        """The mean ``[..., S]``."""
        del noise
        return stats["mean"]


class CategoricalLatent:
    """Several categorical variables, sampled straight-through; ``stoch`` is their one-hots, flat.

    Reference: arXiv:2010.02193, section 2.
    """

    def __init__(self, variables, classes, unimix=0.0):
        """Describes the latent.

        Args:
          variables: Number of variables (V).
          classes: Classes of each (K).
          unimix: Share of a uniform distribution mixed into each.
        """
        self.variables = variables
        self.classes = classes
        self.unimix = unimix
        self.size = variables * classes
        self.outputs = self.size

    def stats(self, raw):
        """Network outputs ``[..., V K]`` to a dict of ``logit`` ``[..., V, K]``."""
        shape = [*open_shape(raw.shape[:-1]), self.variables, self.classes]
        return {"logit": tf.reshape(tf.cast(raw, tf.float32), shape)}

    def initial_stats(self, batch_size):
        """Stats of the state before any step: zeros ``[batch_size, V, K]``."""
        return {"logit": tf.zeros([batch_size, self.variables, self.classes])}

    def draws(self, rng, shape):
        """Draws for `sample`.

        Args:
          rng: A ``tf.random.Generator``.
          shape: Leading shape, such as [T, B].

        Returns:
          Uniform in [0, 1), ``[*shape, V]``.
        """
        return rng.uniform([*shape, self.variables])

    def sample(self, stats, noise):
        """Straight-through sample ``[..., V K]``; ``noise`` as for `OneHot.sample`."""
        return self._flatten(self._dist(stats).sample(noise))

    def mode(self, stats):
        """The likeliest state ``[..., V K]``: the likeliest class of each variable."""
        return self._flatten(self._dist(stats).mode())

    def kl(self, post, prior):
        """KL(post ‖ prior), ``[...]`` nats."""
        return tf.reduce_sum(self._dist(post).kl(self._dist(prior)), -1)

    def entropy(self, stats):
        """Entropy, ``[...]`` nats."""
        return tf.reduce_sum(self._dist(stats).entropy(), -1)

    def _flatten(self, one_hots):
        return tf.reshape(one_hots, [*open_shape(one_hots.shape[:-2]), self.size])

    def _dist(self, stats):
        return OneHot(stats["logit"], self.unimix)


FREE_NATS = {
    "batch": lambda kl, nats: tf.maximum(mean_over_replicas(tf.reduce_mean(kl)), nats),
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

    Reference: arXiv:2301.04104, equation 3.
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
