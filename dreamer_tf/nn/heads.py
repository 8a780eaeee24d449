"""Networks that end in a distribution."""

import math

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dreamer_tf.distributions import TwoHot, UnitNormal, symexp_bins
from dreamer_tf.nn.dense import MLP


class NormalHead(MLP):
    """Normal(output, 1): the reward and the value model."""

    def __init__(self, layers, units, **kwargs):
        super().__init__(layers, units, 1, **kwargs)

    def call(self, feat):
        """``[..., F]`` to the mean ``[...]``, float32."""
        return tf.cast(tf.squeeze(super().call(feat), axis=-1), tf.float32)

    def mean(self, feat):
        """The expected value ``[...]``."""
        return self(feat)

    def dist(self, feat):
        """Distribution with batch shape ``[...]``."""
        return UnitNormal(self(feat))


class BernoulliHead(MLP):
    """Bernoulli(sigmoid(output)): the discount model. Its targets may lie between 0 and 1."""

    def __init__(self, layers, units, **kwargs):
        super().__init__(layers, units, 1, **kwargs)

    def call(self, feat):
        """``[..., F]`` to the logit ``[...]``, float32."""
        return tf.cast(tf.squeeze(super().call(feat), axis=-1), tf.float32)

    def mean(self, feat):
        """The probability ``[...]``."""
        return tf.sigmoid(self(feat))

    def dist(self, feat):
        """Distribution with batch shape ``[...]``."""
        return tfd.Bernoulli(logits=self(feat), dtype=tf.float32)


class TwoHotHead(MLP):
    """Probabilities of exponentially spaced points: rewards and values of any scale."""

    def __init__(self, layers, units, bins=255, **kwargs):
        """Describes the network.

        Args:
          layers: Hidden layers.
          units: Width of each.
          bins: Number of points (K), see `symexp_bins`.
          **kwargs: Further arguments of `MLP`. An ``out_initializer`` of zeros makes the head
            predict exactly zero at first.
        """
        super().__init__(layers, units, bins, **kwargs)
        self.bins = symexp_bins(bins)

    def call(self, feat):
        """``[..., F]`` to logits ``[..., K]``, float32."""
        return tf.cast(super().call(feat), tf.float32)

    def dist(self, feat):
        """`TwoHot` with batch shape ``[...]``."""
        return TwoHot(self(feat), self.bins)

    def mean(self, feat):
        """The expected value ``[...]``."""
        return self.dist(feat).mean()


class GaussianHead(MLP):
    """Diagonal Gaussian over a vector, with a learned standard deviation: the state model.

    With raw outputs m and s: mean = m, std = softplus(s + softplus⁻¹(init_std)) + min_std.
    """

    def __init__(self, layers, units, size, *, init_std=1.0, min_std=0.01, **kwargs):
        """Describes the network. (The defaults of the deviation are those of the author's code.)

        Args:
          layers: Hidden layers.
          units: Width of each.
          size: Dimensions of the Gaussian.
          init_std: Standard deviation where the raw output is zero, less ``min_std``.
          min_std: Smallest standard deviation.
          **kwargs: Keras model arguments.
        """
        super().__init__(layers, units, 2 * size, **kwargs)
        self.min_std = min_std
        self.raw_init_std = math.log(math.expm1(init_std))

    def stats(self, x):
        """Dict of ``mean`` and ``std``, each ``[..., size]`` float32, at inputs ``[..., E]``."""
        mean, std = tf.split(tf.cast(self(x), tf.float32), 2, axis=-1)
        std = tf.nn.softplus(std + self.raw_init_std) + self.min_std
        return {"mean": mean, "std": std}
