"""Running location and size of returns, which advantages are measured by.

A scale has ``update(returns)`` and ``stats()``, an offset and a size. The size is never below a
limit: small returns are not blown up, and neither is their noise.
"""

import tensorflow as tf
import tensorflow_probability as tfp


class PercentileScale(tf.Module):
    """From a low to a high percentile, so that rare extreme returns do not count.

    ::

        low ← (1 - rate) · low + rate · percentile(returns, 5),  high likewise with 95
        offset = low,  size = max(limit, high - low)

    Both begin at zero; with ``debias`` they are divided by what the average still lacks.

    Reference: arXiv:2301.04104, equation 7.
    """

    def __init__(self, *, rate, limit, low=5.0, high=95.0, debias=False):
        """Starts without returns.

        Args:
          rate: Share of the newest returns.
          limit: Smallest size.
          low: Lower percentile, 0 to 100.
          high: Upper percentile.
          debias: Whether the first averages are brought to full size.
        """
        super().__init__(name="percentile_scale")
        self.limit = limit
        self.percentiles = (low, high)
        self.average = _Average(2, rate, debias)

    def update(self, returns):
        """Takes returns of any shape into the averages."""
        values = tfp.stats.percentile(returns, self.percentiles, interpolation="linear")
        self.average.update(values)

    def stats(self):
        """Scalar offset and size."""
        low, high = tf.unstack(self.average.value())
        return low, tf.maximum(self.limit, high - low)


class DeviationScale(tf.Module):
    """Mean and standard deviation: ``size = max(limit, √(E[x²] - E[x]²))``."""

    def __init__(self, *, rate, limit, debias=True):
        """Starts without returns, see `PercentileScale`."""
        super().__init__(name="deviation_scale")
        self.limit = limit
        self.average = _Average(2, rate, debias)

    def update(self, returns):
        """Takes returns of any shape into the averages."""
        moments = [tf.reduce_mean(returns), tf.reduce_mean(tf.square(returns))]
        self.average.update(tf.stack(moments))

    def stats(self):
        """Scalar offset and size."""
        mean, square = tf.unstack(self.average.value())
        return mean, tf.maximum(self.limit, tf.sqrt(tf.nn.relu(square - tf.square(mean))))


class UnitScale:
    """Returns as they are: offset 0, size 1."""

    def update(self, returns):
        """Nothing changes."""

    def stats(self):
        """Offset and size."""
        return tf.constant(0.0), tf.constant(1.0)


class _Average(tf.Module):
    """Exponential moving average of a few numbers, from zero."""

    def __init__(self, size, rate, debias):
        super().__init__(name="average")
        self._rate = rate
        self._debias = debias
        self.sums = tf.Variable(tf.zeros(size), trainable=False, name="sums")
        self.share = tf.Variable(0.0, trainable=False, name="share")

    def update(self, values):
        # One update with a number that is not finite is skipped elsewhere; here it would stay.
        is_finite = tf.reduce_all(tf.math.is_finite(values))
        rate = tf.where(is_finite, self._rate, 0.0)
        values = tf.where(is_finite, values, 0.0)
        self.sums.assign((1.0 - rate) * self.sums + rate * values)
        self.share.assign((1.0 - rate) * self.share + rate)

    def value(self):
        if not self._debias:
            return tf.convert_to_tensor(self.sums)
        return self.sums / tf.maximum(self.share, self._rate)
