"""Curiosity: a reward for what a world model does not know yet."""

import tensorflow as tf

from dreamer_tf.distributions import UnitNormal
from dreamer_tf.ops import count_over_replicas, unless

_SMALLEST_VARIANCE = 1e-12


class Disagreement:
    """How much an ensemble disagrees about where an action leads.

    Each network learns to predict the next latent state from the state and the action taken in it.
    Where there was enough experience they agree; elsewhere they differ, by chance of their initial
    weights. Noise of the environment itself does not make them differ for long: all of them learn
    its mean.

    Reference: Plan2Explore, arXiv:2005.05960, section 3.
    """

    def __init__(self, ensemble):
        """Wraps the networks.

        Args:
          ensemble: Built `Ensemble` from feature and action together (F + A) to the prediction.
        """
        self.ensemble = ensemble

    def loss(self, feat, action, target, is_first):
        """Loss of the ensemble: Σ over its networks of the mean ½ ‖prediction − target‖².

        ::

            t        0     1     2    ...   T-2     (T-1)
            feat     s_0   s_1   s_2        s_{T-2}            what is known
            action   a_0   a_1   a_2        a_{T-2}            taken there; rows hold it one later
            target   x_1   x_2   x_3        x_{T-1}            what it led to

        Pairs that an episode's beginning parts are left out.

        Args:
          feat: ``[B, T, F]``, taken without gradient.
          action: ``[B, T, A]`` as in the replay: ``action[:, t]`` led to ``feat[:, t]``.
          target: ``[B, T, X]``, taken without gradient.
          is_first: ``[B, T]`` bool.

        Returns:
          Scalar loss.
        """
        inputs = tf.stop_gradient(tf.concat([feat[:, :-1], action[:, 1:]], axis=-1))
        prediction = self.ensemble(inputs)
        target = tf.broadcast_to(tf.stop_gradient(target[:, 1:]), prediction.shape)
        dist = UnitNormal(prediction, event_ndims=1)
        error = -dist.log_prob(target) - dist.floor
        error = unless(is_first[:, 1:], error)
        pairs = count_over_replicas(tf.cast(~is_first[:, 1:], tf.float32))
        return tf.reduce_sum(tf.reduce_sum(error, axis=[1, 2])) / pairs

    def reward(self, feat, action):
        """Standard deviation of the predictions, mean over their elements.

        ::

            feat     s_0    s_1    ...   s_{H-1}   s_H
            action   a_0    a_1          a_{H-1}               taken in the state
            reward   0      d(s_0, a_0)            d(s_{H-1}, a_{H-1})    for arriving

        What led to the start state is past, and its reward is zero.

        Args:
          feat: ``[H+1, N, F]``.
          action: ``[H, N, A]``.

        Returns:
          ``[H+1, N]``, with its gradient.

        Reference: arXiv:2005.05960, equation 5, of which DreamerV2's code takes the root.
        """
        prediction = self.ensemble(tf.concat([feat[:-1], action], axis=-1))
        variance = tf.math.reduce_variance(prediction, axis=0)
        # The root has no derivative at zero.
        disagreement = tf.reduce_mean(tf.sqrt(variance + _SMALLEST_VARIANCE), axis=-1)
        return tf.concat([tf.zeros_like(disagreement[:1]), disagreement], axis=0)
