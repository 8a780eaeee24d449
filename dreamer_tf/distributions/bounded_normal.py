"""Normal whose mean and standard deviation are bounded, but not its samples."""

import math

import tensorflow as tf

LOG_SQRT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class BoundedNormal:
    """Independent Normals over the last axis, from raw network outputs m and s.

    mean = tanh(m), std = (max_std - min_std) · σ(s + 2) + min_std. Samples may lie beyond
    [-1, 1]: they are scored as they were drawn, and cut by whoever executes them.

    Reference: arXiv:2301.04104, section "Actor learning"; the parametrisation is that of the
    authors' code.
    """

    def __init__(self, mean, std, *, min_std=0.1, max_std=1.0):
        """Bounds the parameters.

        Args:
          mean: ``[..., A]`` raw output.
          std: ``[..., A]`` raw output.
          min_std: Smallest standard deviation.
          max_std: Largest standard deviation.
        """
        self.mean = tf.tanh(tf.cast(mean, tf.float32))
        gate = tf.sigmoid(tf.cast(std, tf.float32) + 2.0)
        self.std = (max_std - min_std) * gate + min_std
        self._limits = (min_std, max_std)

    def sample(self, noise):
        """Reparameterised sample mean + std · noise, from standard normal draws ``[..., A]``."""
        return self.mean + self.std * noise

    def mode(self):
        """The mean, ``[..., A]``."""
        return self.mean

    def log_prob(self, action):
        """Log density ``[...]`` of actions ``[..., A]``, summed over the last axis."""
        distance = (action - self.mean) / self.std
        log_probs = -0.5 * tf.square(distance) - tf.math.log(self.std) - LOG_SQRT_TWO_PI
        return tf.reduce_sum(log_probs, -1)

    def entropy(self):
        """Differential entropy ``[...]`` in nats, summed over the last axis."""
        return tf.reduce_sum(tf.math.log(self.std) + LOG_SQRT_TWO_PI + 0.5, -1)

    def entropy_bounds(self):
        """The smallest and the largest entropy that the bounds allow, in nats."""
        size = self.mean.shape[-1]
        return tuple(size * (math.log(std) + LOG_SQRT_TWO_PI + 0.5) for std in self._limits)
