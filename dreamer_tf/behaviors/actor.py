"""Action models.

An actor has ``dist(feat)``; ``draws(rng, shape)``, what the distribution's ``sample`` takes;
``mode(feat, noise)`` with the draws of ``mode_draws(rng, shape)``; and ``metrics(dist, noise)``.
``dist(feat)`` is ``dist_of(self(feat))``: whoever asks it in a loop over time can keep the
network's outputs ``[..., outputs]`` and build one distribution for all steps from them.
"""

import math

import tensorflow as tf

from dreamer_tf.distributions import OneHot, TanhNormal, TruncatedNormal
from dreamer_tf.nn import MLP


class TanhNormalActor(MLP):
    """Continuous actions: a tanh-transformed Gaussian.

    With raw outputs m and s: mean = 5·tanh(m / 5), std = softplus(s + softplus⁻¹(5)) + 1e-4.
    The bound keeps the mean where the outer tanh still has a gradient; the offset starts the
    policy wide.

    Reference: arXiv:1912.01603, section 3 and appendix A.
    """

    def __init__(
        self, layers, units, actions, *, init_std, min_std, mean_scale, mode_samples=0, **kwargs
    ):
        """Describes the network.

        Args:
          layers: Hidden layers.
          units: Width of each.
          actions: Number of action dimensions (A).
          init_std: Standard deviation where the raw output is zero.
          min_std: Smallest standard deviation.
          mean_scale: Bound of the mean.
          mode_samples: The mode action is the likeliest of so many samples; 0: the tanh of the
            mean.
          **kwargs: Keras model arguments.
        """
        super().__init__(layers, units, 2 * actions, **kwargs)
        self.actions = actions
        self.mode_samples = mode_samples
        self.min_std = min_std
        self.mean_scale = mean_scale
        self.raw_init_std = math.log(math.expm1(init_std))

    def dist(self, feat):
        """`TanhNormal` over ``[..., A]`` at features ``[..., F]``."""
        return self.dist_of(self(feat))

    def dist_of(self, outputs):
        """The distribution of the network's outputs ``[..., 2 A]``."""
        mean, std = tf.split(tf.cast(outputs, tf.float32), 2, axis=-1)
        mean = self.mean_scale * tf.tanh(mean / self.mean_scale)
        std = tf.nn.softplus(std + self.raw_init_std) + self.min_std
        return TanhNormal(mean, std)

    def draws(self, rng, shape):
        """Standard normal draws ``[*shape, A]``."""
        return rng.normal([*shape, self.actions])

    def mode_draws(self, rng, shape):
        """Draws for `mode`: ``[samples, *shape, A]``, or none if the mode needs no samples."""
        return self.draws(rng, [self.mode_samples, *shape]) if self.mode_samples else ()

    def mode(self, feat, noise=()):
        """The mode action ``[..., A]`` at features ``[..., F]``, with draws of `mode_draws`."""
        dist = self.dist(feat)
        return dist.best_of(noise) if self.mode_samples else dist.mode()

    def metrics(self, dist, noise):
        """Scalars about the policy.

        Args:
          dist: `TanhNormal`, batch shape ``[...]``; over thousands of states one sample of each
            estimates the mean entropy well enough.
          noise: ``[..., A]`` standard normal draws.
        """
        return {
            "actor_entropy": tf.reduce_mean(dist.entropy(noise[None])),
            "actor_std": tf.reduce_mean(dist.std),
        }


class TruncatedNormalActor(MLP):
    """Continuous actions: a Gaussian cut off at -1 and 1.

    With raw outputs m and s: loc = tanh(m), scale = 2·sigmoid((s + init_std) / 2) + min_std. Unlike
    that of a tanh-transformed Gaussian its entropy is known exactly.

    Reference: arXiv:2010.02193, section 2, and its author's code.
    """

    def __init__(self, layers, units, actions, *, init_std, min_std, **kwargs):
        """Describes the network.

        Args:
          layers: Hidden layers.
          units: Width of each.
          actions: Number of action dimensions (A).
          init_std: Added to the raw output of the scale.
          min_std: Smallest scale.
          **kwargs: Keras model arguments.
        """
        super().__init__(layers, units, 2 * actions, **kwargs)
        self.actions = actions
        self.init_std = init_std
        self.min_std = min_std

    def dist(self, feat):
        """`TruncatedNormal` over ``[..., A]`` at features ``[..., F]``."""
        return self.dist_of(self(feat))

    def dist_of(self, outputs):
        """The distribution of the network's outputs ``[..., 2 A]``."""
        loc, scale = tf.split(tf.cast(outputs, tf.float32), 2, axis=-1)
        scale = 2.0 * tf.sigmoid((scale + self.init_std) / 2.0) + self.min_std
        return TruncatedNormal(tf.tanh(loc), scale)

    def draws(self, rng, shape):
        """Uniform draws in [0, 1), ``[*shape, A]``."""
        return rng.uniform([*shape, self.actions])

    def mode_draws(self, rng, shape):
        """Nothing is drawn for `mode`."""
        del rng, shape
        return ()

    def mode(self, feat, noise=()):
        """The mode action ``[..., A]`` at features ``[..., F]``."""
        del noise
        return self.dist(feat).mode()

    def metrics(self, dist, noise):
        """Scalars about the policy.

        Args:
          dist: `TruncatedNormal`, batch shape ``[...]``.
          noise: Not used: the entropy is exact.
        """
        del noise
        return {
            "actor_entropy": tf.reduce_mean(dist.entropy()),
            "actor_std": tf.reduce_mean(dist.scale),
        }


class OneHotActor(MLP):
    """Discrete actions: a categorical distribution, its samples one-hot.

    The gradient passes a sample straight through, as if it were the probabilities: it reaches the
    actor from the dynamics as it does for continuous actions.

    Reference: arXiv:1912.01603, appendix A.
    """

    def __init__(self, layers, units, classes, **kwargs):
        """Describes the network.

        Args:
          layers: Hidden layers.
          units: Width of each.
          classes: Number of actions to choose from (A).
          **kwargs: Keras model arguments.
        """
        super().__init__(layers, units, classes, **kwargs)

    def dist(self, feat):
        """`OneHot` over ``[..., A]`` at features ``[..., F]``."""
        return self.dist_of(self(feat))

    def dist_of(self, outputs):
        """The distribution of the network's outputs ``[..., A]``."""
        return OneHot(outputs)

    def draws(self, rng, shape):
        """Uniform draws in [0, 1), ``shape``: one for each action."""
        return rng.uniform(shape)

    def mode_draws(self, rng, shape):
        """Nothing is drawn for `mode`."""
        del rng, shape
        return ()

    def mode(self, feat, noise=()):
        """The likeliest action, one-hot ``[..., A]``, at features ``[..., F]``."""
        del noise
        return self.dist(feat).mode()

    def metrics(self, dist, noise):
        """Scalars about the policy.

        Args:
          dist: `OneHot`, batch shape ``[...]``.
          noise: Not used: the entropy is exact.
        """
        del noise
        return {"actor_entropy": tf.reduce_mean(dist.entropy())}
