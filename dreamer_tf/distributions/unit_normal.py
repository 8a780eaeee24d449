"""Likelihoods whose loss is a squared error."""

import math

import tensorflow as tf

LOG_SQRT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@tf.custom_gradient
def _half_squared_error(mean, target):
    """½ Σ (target - mean)² over the last axis, in two passes over the data each way.

    The decoded images of a batch are the largest tensors of the program. Automatic
    differentiation would walk over them three times more.
    """
    error = mean - target
    loss = 0.5 * tf.reduce_sum(tf.square(error), axis=-1)

    def gradient(upstream):
        towards_mean = error * upstream[..., None]
        return towards_mean, -towards_mean

    return loss, gradient


class UnitNormal:
    """Independent Normal(mean, 1) over the last ``event_ndims`` axes."""

    def __init__(self, mean, event_ndims=0):
        """Wraps the mean.

        Args:
          mean: ``[..., *event]``.
          event_ndims: Number of trailing axes that belong to one outcome.
        """
        self.mean = tf.cast(mean, tf.float32)
        batch_ndims = self.mean.shape.rank - event_ndims
        self._batch = self.mean.shape[:batch_ndims]
        self.size = math.prod(self.mean.shape[batch_ndims:])

    @property
    def floor(self):
        """The smallest negative log-likelihood, ½ log(2π) per dimension of the event."""
        return self.size * LOG_SQRT_TWO_PI

    def mode(self):
        """The likeliest outcome, ``[..., *event]``."""
        return self.mean

    def fit(self, log_prob):
        """Dict of scalars that tell how good log densities are: the mean squared error, ``mse``."""
        return {"mse": 2.0 * tf.reduce_mean(-log_prob - self.floor) / self.size}

    def log_prob(self, value):
        """Log density.

        It never exceeds -`floor` (-11 291.9 nats for a 64×64 colour image), so an image loss
        near that number is a good one; the mean squared error is logged beside it.

        Args:
          value: ``[..., *event]``.

        Returns:
          ``[...]`` summed over the event.
        """
        return -self._half_error(value) - self.floor

    def _half_error(self, value):
        flat = [*self._batch, self.size]
        return _half_squared_error(
            tf.reshape(self.mean, flat), tf.reshape(tf.cast(value, tf.float32), flat)
        )


class SquaredError(UnitNormal):
    """A loss in the place of a likelihood: `log_prob` is -Σ (value - mean)², without the ½.

    Reference: arXiv:2301.04104, section "World model learning".
    """

    @property
    def floor(self):
        """The smallest loss: none."""
        return 0.0

    def fit(self, log_prob):
        """Dict of scalars that tell how good the loss is: the mean squared error, ``mse``."""
        return {"mse": -tf.reduce_mean(log_prob) / self.size}

    def log_prob(self, value):
        """-Σ (value - mean)², ``[...]``, for values ``[..., *event]``."""
        return -2.0 * self._half_error(value)


class PseudoHuber(UnitNormal):
    """A loss in the place of a likelihood: `log_prob` is -Σ (√((value - mean)² + 1) - 1).

    Near its mean half a squared error, far from it an absolute one, so that outliers pull with no
    more than a slope of 1.

    Reference: the head ``huber`` of the authors' code of arXiv:2301.04104.
    """

    @property
    def floor(self):
        """The smallest loss: none."""
        return 0.0

    def fit(self, log_prob):
        """Dict of scalars that tell how good the loss is: its mean, ``huber``."""
        return {"huber": -tf.reduce_mean(log_prob) / self.size}

    def log_prob(self, value):
        """-Σ (√((value - mean)² + 1) - 1), ``[...]``, for values ``[..., *event]``."""
        square = tf.square(tf.cast(value, tf.float32) - self.mean)
        # √(x + 1) - 1 without the cancellation for small x.
        losses = square / (tf.sqrt(square + 1.0) + 1.0)
        return -tf.reduce_sum(tf.reshape(losses, [*self._batch, self.size]), axis=-1)
