"""Distributions over classes: one-hot variables, and numbers as probabilities of fixed points."""

import math

import numpy as np
import tensorflow as tf

from dreamer_tf.ops import open_shape

# With few classes TensorFlow's softmax takes three times as long as its parts do.
_FEW = 8


class OneHot:
    """Categorical distribution over the last axis, its samples one-hot vectors.

    A sample has the value of a one-hot vector and the gradient of the probabilities:
    ``sample = one_hot + probs - stop_gradient(probs)``.

    Reference: arXiv:2010.02193, section 2 and algorithm 1; the uniform mix: arXiv:2301.04104,
    section "World model learning".
    """

    def __init__(self, logits, unimix=0.0):
        """Describes the distribution.

        Args:
          logits: ``[..., K]``, of any scale.
          unimix: Share of a uniform distribution mixed in, in [0, 1]. It bounds every probability
            from below by ``unimix / K``, and KL divergences from above.
        """
        logits = tf.cast(logits, tf.float32)
        self.log_probs = tf.nn.log_softmax(logits)
        self.probs = _softmax(logits)
        if unimix:
            self.probs = (1.0 - unimix) * self.probs + unimix / logits.shape[-1]
            self.log_probs = tf.math.log(self.probs)

    def sample(self, draw):
        """Straight-through sample.

        Args:
          draw: ``[...]`` uniform numbers in [0, 1), one a variable; or int32 classes ``[...]``
            that were drawn elsewhere.

        Returns:
          One-hot ``[..., K]``, float32.
        """
        classes = draw if draw.dtype.is_integer else self._invert(draw)
        one_hot = tf.one_hot(classes, self.probs.shape[-1])
        # Written as a sum so that probabilities that are NaN are seen in the sample.
        return one_hot + self.probs - tf.stop_gradient(self.probs)

    def _invert(self, uniform):
        # The class whose share of the unit interval holds the number. The running sum is a product
        # with a triangle of ones, which runs on all cores; TensorFlow's cumsum does not.
        size = self.probs.shape[-1]
        upper = tf.linalg.matmul(
            tf.reshape(tf.stop_gradient(self.probs), [-1, size]),
            tf.constant(np.triu(np.ones([size, size], np.float32))),
        )
        below = tf.reshape(upper, open_shape(self.probs.shape)) <= tf.expand_dims(uniform, -1)
        # Rounding may leave the last sum a little below 1.
        return tf.minimum(tf.reduce_sum(tf.cast(below, tf.int32), -1), size - 1)

    def mode(self):
        """The likeliest class, one-hot ``[..., K]``, with the straight-through gradient."""
        return self.sample(tf.argmax(self.log_probs, -1, output_type=tf.int32))

    def log_prob(self, one_hot):
        """Log-probability ``[...]`` of one-hot vectors ``[..., K]``, without gradient to them."""
        return tf.reduce_sum(self.log_probs * tf.stop_gradient(one_hot), -1)

    def entropy(self):
        """Entropy ``[...]`` in nats."""
        return -tf.reduce_sum(self.probs * self.log_probs, -1)

    def kl(self, other):
        """KL(self ‖ other), ``[...]`` in nats."""
        return tf.reduce_sum(self.probs * (self.log_probs - other.log_probs), -1)


def _softmax(logits):
    """``softmax(logits)`` over the last axis, ``[..., K]``."""
    return _softmax_of_few(logits) if logits.shape[-1] <= _FEW else tf.nn.softmax(logits)


@tf.custom_gradient
def _softmax_of_few(logits):
    shares = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
    probs = shares / tf.reduce_sum(shares, -1, keepdims=True)

    def gradient(upstream):
        towards = upstream * probs
        return towards - probs * tf.reduce_sum(towards, -1, keepdims=True)

    return probs, gradient


class IndependentOneHot(OneHot):
    """Several categorical variables that are one outcome together: an observed vector of them."""

    def __init__(self, logits, event_ndims=0):
        """Describes the distribution.

        Args:
          logits: ``[..., *event, K]``.
          event_ndims: Number of axes of ``event``.
        """
        super().__init__(logits)
        self.event_ndims = event_ndims

    @property
    def mean(self):
        """The probabilities, ``[..., *event, K]``."""
        return self.probs

    def fit(self, log_prob):
        """Dict of scalars that tell how good log-probabilities are: nothing beyond themselves."""
        del log_prob
        return {}

    def log_prob(self, one_hot):
        """Log-probability ``[...]`` of one-hot vectors ``[..., *event, K]``."""
        log_probs = super().log_prob(one_hot)
        return tf.reduce_sum(log_probs, list(range(-self.event_ndims, 0)))


# ---- Numbers of any scale, as probabilities of fixed points.


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
        return -_cross_entropy(self.logits, shares)


@tf.custom_gradient
def _cross_entropy(logits, shares):
    """-Σ shares · ln softmax(logits), ``[...]``, of shares that sum to one.

    TensorFlow's own operation takes the exponentials of a row's last classes another way than the
    others'. With them the weights of mirror images, which no number has trained yet, would drift
    apart by their last digits, and that times 5e8 is what `TwoHot.mean` then predicts.
    """
    probs = tf.nn.softmax(logits)
    below = logits - tf.reduce_max(logits, -1, keepdims=True)
    # The likeliest class has a share of exp(0) in the sum that divides.
    loss = -tf.math.log(tf.reduce_max(probs, -1)) - tf.reduce_sum(shares * below, -1)

    def gradient(upstream):
        return tf.expand_dims(upstream, -1) * (probs - shares), None

    return loss, gradient


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
    return mixed_two_hot([(1.0, value)], bins)


def mixed_two_hot(parts, bins):
    """Weighted sum of the shares of several numbers, see `two_hot`: ``Σ weight · shares``.

    Args:
      parts: List of pairs of a weight and numbers ``[...]``.
      bins: NumPy array ``[K]``, ascending.

    Returns:
      ``[..., K]``, without gradient.
    """
    # Written into zeros: two numbers a row and part, where a comparison with every point would be
    # K, and a sum of several such tensors passes over all of them.
    places, shares = [], []
    for weight, value in parts:
        flat = tf.reshape(tf.stop_gradient(tf.cast(value, tf.float32)), [-1])
        rows = tf.range(tf.size(flat))
        above = tf.searchsorted(tf.constant(bins), flat, side="right")
        below = tf.maximum(above - 1, 0)
        above = tf.minimum(above, len(bins) - 1)
        to_below = tf.abs(flat - tf.gather(bins, below))
        to_above = tf.abs(tf.gather(bins, above) - flat)
        share = tf.where(below == above, 0.5, tf.math.divide_no_nan(to_below, to_below + to_above))
        places += [tf.stack([rows, below], 1), tf.stack([rows, above], 1)]
        shares += [weight * (1.0 - share), weight * share]
    value = parts[0][1]
    shape = [math.prod(value.shape), len(bins)]
    mixed = tf.scatter_nd(tf.concat(places, 0), tf.concat(shares, 0), shape)
    return tf.reshape(mixed, [*value.shape, len(bins)])
