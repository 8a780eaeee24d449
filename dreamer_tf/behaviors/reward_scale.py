"""Normalisation of imagined rewards by their running magnitude."""

import tensorflow as tf


class RewardScale(tf.Module):
    """``m ← momentum · m + (1 - momentum) · mean |r|``, then ``scale · r / (m + epsilon)``.

    With a momentum of 1 the magnitude stays at 1.

    Reference: the author's code of arXiv:2010.02193.
    """

    def __init__(self, *, momentum, scale, epsilon):
        """Starts with a magnitude of 1.

        Args:
          momentum: Share of the magnitude that an update keeps, 0 to 1.
          scale: Magnitude of the result.
          epsilon: Added to the magnitude.
        """
        super().__init__(name="reward_scale")
        self.magnitude = tf.Variable(1.0, trainable=False, name="magnitude")
        self.momentum = momentum
        self.scale = scale
        self.epsilon = epsilon

    def __call__(self, reward):
        """Normalises by the magnitude that these rewards lead to; it stays as it is until `update`.

        Args:
          reward: Rewards of any shape.

        Returns:
          The same shape; no gradient passes through the magnitude.
        """
        return reward * (self.scale / (self._magnitude_with(reward) + self.epsilon))

    def update(self, reward, skipped):
        """Takes rewards into the magnitude, unless what they were used for was skipped (1)."""
        if self.momentum < 1.0:
            new = self._magnitude_with(reward)
            self.magnitude.assign(tf.where(skipped > 0, self.magnitude, new))

    def _magnitude_with(self, reward):
        if self.momentum == 1.0:
            return tf.convert_to_tensor(self.magnitude)
        mean = tf.reduce_mean(tf.abs(tf.stop_gradient(reward)))
        return self.momentum * self.magnitude + (1.0 - self.momentum) * mean
