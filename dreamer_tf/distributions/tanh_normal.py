"""Normal squashed into (-1, 1) by a tanh: the continuous policy."""

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

LARGEST_ACTION = 0.99999997
"""Actions are pulled inside this bound (0.99999994 in float32) before the inverse tanh, where it
is finite: a saturated action is scored at |u| = 8.664."""


class TanhNormal:
    """a = tanh(u), u ~ Normal(mean, std), independent over the last axis.

    Reference: arXiv:1912.01603, equation 3; arXiv:1801.01290, appendix C.
    """

    def __init__(self, mean, std):
        """Wraps the parameters before the tanh.

        Args:
          mean: ``[..., A]``.
          std: ``[..., A]``.
        """
        self.mean_before_tanh = tf.cast(mean, tf.float32)
        self.std = tf.cast(std, tf.float32)
        self._normal = tfd.Normal(self.mean_before_tanh, self.std)

    def sample(self, noise):
        """Reparameterised sample tanh(mean + std · noise).

        Args:
          noise: Standard normal draws, ``[..., A]`` or with further leading axes.
        """
        return tf.tanh(self.mean_before_tanh + self.std * noise)

    def log_prob(self, action):
        """Log density of actions, finite up to |action| = 1.

        Args:
          action: ``[..., A]`` in [-1, 1].

        Returns:
          ``[...]`` summed over the last axis.
        """
        inside = tf.clip_by_value(action, -LARGEST_ACTION, LARGEST_ACTION)
        u = tf.atanh(inside)
        log_det = tfb.Tanh().forward_log_det_jacobian(u, event_ndims=0)
        return tf.reduce_sum(self._normal.log_prob(u) - log_det, axis=-1)

    def entropy(self, noise):
        """Monte Carlo estimate, ``[...]``.

        There is no closed form. Only logging asks for it, so its cost stays out of other updates.

        Args:
          noise: ``[samples, ..., A]`` standard normal draws.
        """
        return -tf.reduce_mean(self.log_prob(self.sample(noise)), axis=0)

    def mode(self):
        """Tanh of the mean, ``[..., A]``: the median action, cheap and deterministic."""
        return tf.tanh(self.mean_before_tanh)

    def best_of(self, noise):
        """The likeliest of several samples, the authors' stand-in for the mode.

        Each batch element picks its own (the authors' TF2 code uses the first element's choice
        for all).

        Args:
          noise: ``[samples, ..., A]`` standard normal draws.

        Returns:
          ``[..., A]``.
        """
        samples = self.sample(noise)
        best = tf.argmax(self.log_prob(samples), axis=0)
        chosen = tf.one_hot(best, noise.shape[0], axis=0, dtype=samples.dtype)
        return tf.reduce_sum(samples * chosen[..., None], axis=0)
