"""Running location and size of returns, which advantages are measured by.

A scale has ``stats(returns)``, an offset and a size with these returns taken in, and
``update(returns, skipped)``, which keeps them unless their update was skipped (1). The size is never
below a limit: small returns are not blown up, and neither is their noise.
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

    def stats(self, returns):
        """Scalar offset and size with returns of any shape taken into the averages."""
        low, high = tf.unstack(self.average.value(self._measure(returns)))
        return low, tf.maximum(self.limit, high - low)

    def update(self, returns, skipped):
        """Keeps the averages of `stats`, unless ``skipped`` is 1."""
        self.average.update(self._measure(returns), skipped)

    def _measure(self, returns):
        return tfp.stats.percentile(returns, self.percentiles, interpolation="linear")


class DeviationScale(tf.Module):
    """Mean and standard deviation: ``size = max(limit, √(E[x²] - E[x]²))``."""

    def __init__(self, *, rate, limit, debias=True):
        """Starts without returns, see `PercentileScale`."""
        super().__init__(name="deviation_scale")
        self.limit = limit
        self.average = _Average(2, rate, debias)

    def stats(self, returns):
        """Scalar offset and size, see `PercentileScale.stats`."""
        mean, square = tf.unstack(self.average.value(self._measure(returns)))
        return mean, tf.maximum(self.limit, tf.sqrt(tf.nn.relu(square - tf.square(mean))))

    def update(self, returns, skipped):
        """Keeps the averages of `stats`, unless ``skipped`` is 1."""
        self.average.update(self._measure(returns), skipped)

    def _measure(self, returns):
        return tf.stack([tf.reduce_mean(returns), tf.reduce_mean(tf.square(returns))])


class UnitScale:
    """Returns as they are: offset 0, size 1."""

    def stats(self, returns):
        """Offset and size."""
        del returns
        return tf.constant(0.0), tf.constant(1.0)

    def update(self, returns, skipped):
        """Nothing changes."""


class _Average(tf.Module):
    """Exponential moving average of a few numbers, from zero."""

    def __init__(self, size, rate, debias):
        super().__init__(name="average")
        self._rate = rate
        self._debias = debias
        self.sums = tf.Variable(tf.zeros(size), trainable=False, name="sums")
        self.share = tf.Variable(0.0, trainable=False, name="share")

    def value(self, values):
        """The average with new values taken in."""
        sums, share = self._with(values)
        return sums / tf.maximum(share, self._rate) if self._debias else sums

    def update(self, values, skipped):
        """Keeps that average, unless ``skipped`` is 1."""
        for variable, new in zip((self.sums, self.share), self._with(values), strict=True):
            variable.assign(tf.where(skipped > 0, variable, new))

    def _with(self, values):
        # One update with a number that is not finite is skipped; here it would stay.
        is_finite = tf.reduce_all(tf.math.is_finite(values))
        rate = tf.where(is_finite, self._rate, 0.0)
        values = tf.where(is_finite, values, 0.0)
        sums = (1.0 - rate) * self.sums + rate * values
        return sums, (1.0 - rate) * self.share + rate
