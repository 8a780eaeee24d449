"""One-hot categorical variables with straight-through gradients."""

import numpy as np
import tensorflow as tf

from dreamer_tf.ops import open_shape


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
        self.probs = tf.nn.softmax(logits)
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
        below = tf.reshape(upper, open_shape(self.probs.shape)) <= uniform[..., None]
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
