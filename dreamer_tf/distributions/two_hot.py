"""A distribution over numbers of any scale, as probabilities of fixed points."""

import numpy as np
import tensorflow as tf


def symexp_bins(count, limit=20.0):
    """Points whose `symlog` is spaced evenly between -limit and limit.

    They are exact mirror images of each other. With an odd count the one in the middle is zero,
    with an even count both in the middle are.

    Args:
      count: Number of points, at least two.
      limit: The largest `symlog`.

    Returns:
      NumPy array ``[count]``, float32, ascending.
    """
    upper = np.expm1(np.linspace(0.0, limit, (count + 1) // 2)).astype(np.float32)
    return np.concatenate([-upper[count % 2 :][::-1], upper])


def two_hot(value, bins):
    """Shares of a number between the two points next to it, whose mean it is.

    Numbers beyond the ends belong wholly to the last point.

    Args:
      value: ``[...]``.
      bins: NumPy array ``[K]``, ascending.

    Returns:
      ``[..., K]`` shares that sum to one, no more than two of them above zero, without gradient.

    Reference: arXiv:1707.06887, section 4; arXiv:2301.04104, section
    "Robust predictions".
    """
    flat = tf.reshape(tf.stop_gradient(tf.cast(value, tf.float32)), [-1])
    above = tf.searchsorted(tf.constant(bins), flat, side="right")
    below = tf.maximum(above - 1, 0)
    above = tf.minimum(above, len(bins) - 1)
    to_below = tf.abs(flat - tf.gather(bins, below))
    to_above = tf.abs(tf.gather(bins, above) - flat)
    share = tf.where(below == above, 0.5, tf.math.divide_no_nan(to_below, to_below + to_above))
    # Written into zeros: two numbers a row, where a comparison with every point would be K.
    rows = tf.range(tf.size(flat))
    places = tf.concat([tf.stack([rows, below], 1), tf.stack([rows, above], 1)], 0)
    shares = tf.scatter_nd(places, tf.concat([1.0 - share, share], 0), [tf.size(flat), len(bins)])
    return tf.reshape(shares, [*value.shape, len(bins)])


class TwoHot:
    """Probabilities of points that are mirror images about zero, see `symexp_bins`.

    The mean of the probabilities predicts a number; the cross entropy with a number's `two_hot`
    shares trains them, with gradients that do not grow with the number.

    Reference: arXiv:2301.04104, section "Critic learning".
    """

    def __init__(self, logits, bins):
        """Describes the distribution.

        Args:
          logits: ``[..., K]``.
          bins: NumPy array ``[K]``.
        """
        self.logits = tf.cast(logits, tf.float32)
        self.bins = bins

    def mean(self):
        """The expected number ``[...]``.

        The points reach 5e8 in size, and a plain sum of their products with the probabilities
        leaves rounding errors of that order. Here each point is taken together with its mirror
        image, so that equal probabilities give exactly zero.
        """
        half = len(self.bins) // 2
        probs = tf.nn.softmax(self.logits)
        upper, lower = probs[..., -half:], tf.reverse(probs[..., :half], [-1])
        return tf.tensordot(upper - lower, self.bins[-half:], 1)

    def log_prob(self, value):
        """Negative cross entropy ``[...]`` with the shares of numbers ``[...]``."""
        return self.expected_log_prob(two_hot(value, self.bins))

    def expected_log_prob(self, shares):
        """Σ shares · ln probabilities, ``[...]``.

        Args:
          shares: ``[..., K]`` that sum to one, such as those of `two_hot`.
        """
        return -tf.nn.softmax_cross_entropy_with_logits(shares, self.logits)
