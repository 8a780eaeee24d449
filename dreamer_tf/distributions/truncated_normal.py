"""Normal cut off outside [-1, 1]: the continuous policy of DreamerV2."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

MARGIN = 1e-6
"""Samples stay this far inside the bounds, where the density is positive."""


class TruncatedNormal:
    """x ~ Normal(loc, scale) given -1 ≤ x ≤ 1, independent over the last axis.

    A sample's gradient takes the bounds as if they moved with the distribution: 1 towards the
    location and (x - loc) / scale towards the scale, as in the author's code. The exact derivatives
    are smaller, and vanish where a sample is pressed against a bound.

    Reference: arXiv:2010.02193, section 2, "Actor critic"; the gradient: TensorFlow's sampler.
    """

    def __init__(self, loc, scale):
        """Wraps the parameters.

        Args:
          loc: ``[..., A]`` in [-1, 1].
          scale: ``[..., A]``, positive.
        """
        self.loc = tf.cast(loc, tf.float32)
        self.scale = tf.cast(scale, tf.float32)
        self._dist = tfd.TruncatedNormal(self.loc, self.scale, -1.0, 1.0)

    def sample(self, uniform):
        """Sample by the inverse of the distribution function, with the gradient described above.

        Args:
          uniform: ``[..., A]`` uniform draws in [0, 1).
        """
        distance = (self.quantile(uniform) - self.loc) / self.scale
        raw = self.loc + self.scale * tf.stop_gradient(distance)
        inside = tf.clip_by_value(raw, -1.0 + MARGIN, 1.0 - MARGIN)
        return raw + tf.stop_gradient(inside - raw)

    def quantile(self, uniform):
        """The inverse of the distribution function at ``[..., A]`` in [0, 1)."""
        return tf.clip_by_value(self._dist.quantile(uniform), -1.0, 1.0)

    def log_prob(self, action):
        """Log density of actions ``[..., A]`` in [-1, 1], ``[...]`` summed over the last axis."""
        return tf.reduce_sum(self._dist.log_prob(action), -1)

    def entropy(self):
        """Differential entropy, ``[...]``; largest, A · ln 2, for the uniform distribution."""
        return tf.reduce_sum(self._dist.entropy(), -1)

    def mode(self):
        """The likeliest action ``[..., A]``, the location."""
        return self.loc
