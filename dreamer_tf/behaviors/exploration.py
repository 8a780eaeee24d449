"""Exploration on top of a policy.

An explorer has ``draws(rng, shape)``, the random draws that it needs, is called with the actions of
the policy, those draws and the number of updates so far, and has ``metrics(grad_steps)``.
"""

import tensorflow as tf


class GaussianNoise:
    """Continuous exploration: a + scale · noise, clipped to [-1, 1].

    Reference: arXiv:1912.01603, appendix A.
    """

    def __init__(self, scale):
        """Describes the noise.

        Args:
          scale: Standard deviation of what is added.
        """
        self.scale = scale

    def draws(self, rng, shape):
        """Standard normal draws for actions of a shape ``[..., A]``."""
        return rng.normal(shape)

    def __call__(self, action, noise, grad_steps):
        """Adds the noise.

        Args:
          action: ``[..., A]`` in [-1, 1].
          noise: ``[..., A]`` standard normal draws.
          grad_steps: Not used: the scale stays.
        """
        del grad_steps
        return tf.clip_by_value(action + self.scale * noise, -1.0, 1.0)

    def metrics(self, grad_steps):
        """Nothing changes, so there is nothing to log."""
        del grad_steps
        return {}


class EpsilonGreedy:
    """Discrete exploration: with probability ε another action, drawn uniformly from all of them.

    ε moves in a straight line from its first to its last value, and stays there.

    Reference: arXiv:1912.01603, appendix A.
    """

    def __init__(self, first, last, decay):
        """Describes the schedule.

        Args:
          first: ε before any update, 0 to 1.
          last: ε after ``decay`` updates.
          decay: grad_steps from one to the other, at least 1.
        """
        self.first = first
        self.last = last
        self.decay = decay

    def epsilon(self, grad_steps):
        """ε after a number of updates, a float32 scalar."""
        left = tf.maximum(1.0 - tf.cast(grad_steps, tf.float32) / self.decay, 0.0)
        return self.last + (self.first - self.last) * left

    def draws(self, rng, shape):
        """Two uniform draws in [0, 1) for each action of a shape ``[..., A]``, ``[..., 2]``."""
        return rng.uniform([*shape[:-1], 2])

    def __call__(self, action, noise, grad_steps):
        """Replaces some of the actions.

        Args:
          action: ``[..., A]`` one-hot vectors.
          noise: ``[..., 2]`` uniform draws: whether to replace the action, and by which.
          grad_steps: Updates so far, an integer or a variable.
        """
        size = action.shape[-1]
        other = tf.one_hot(tf.cast(noise[..., 1] * size, tf.int32), size)
        return tf.where(noise[..., :1] < self.epsilon(grad_steps), other, action)

    def metrics(self, grad_steps):
        """Dict of the present ε."""
        return {"exploration_epsilon": self.epsilon(grad_steps)}
