"""What follows the training slowly: a copy of a network, the size of returns, that of rewards.

A scale of returns has ``stats(returns)``, an offset and a size with these returns taken in, and
``update(returns, skipped)``, which keeps them unless their update was skipped (1). The size is
never below a limit: small returns are not blown up, and neither is their noise.
"""

import tensorflow as tf
import tensorflow_probability as tfp

from dreamer_tf.ops import gather_over_replicas, mean_over_replicas


class SlowCopy(tf.Module):
    """Moves the weights of a copy towards those of the network it follows, now and then.

    ``slow ← fraction · fast + (1 - fraction) · slow`` at every ``every``-th update, the first one
    included, which may go another way. A fraction of 1 is a hard copy, a small one at every update
    an exponential moving average. The copy changes in no other way, and begins as an exact one.

    Reference: arXiv:2010.02193, section 2 ("target network").
    """

    def __init__(self, slow, fast, *, every, fraction, first_fraction=1.0):
        """Copies the weights.

        Args:
          slow: Keras model, the copy.
          fast: Keras model of the same structure.
          every: Updates from one move to the next.
          fraction: How far each goes, above 0 up to 1.
          first_fraction: How far the first goes.
        """
        super().__init__(name="slow_copy")
        self.network = slow
        # As lists: a checkpoint does not look into the lists of layers that Keras models hold.
        self.weights, self.followed = list(slow.variables), list(fast.variables)
        self.updates = tf.Variable(0, trainable=False, dtype=tf.int64, name="updates")
        self._every = every
        self._fraction = fraction
        self._first_fraction = first_fraction
        self.begin()

    def begin(self):
        """Becomes an exact copy."""
        self._move(1.0)

    def update(self):
        """Counts an update of the network that is followed, and moves if it is time."""
        is_due = self.updates % self._every == 0
        fraction = tf.where(self.updates == 0, self._first_fraction, self._fraction)

        def move():
            self._move(fraction)
            return True

        tf.cond(is_due, move, lambda: False)
        self.updates.assign_add(1)

    def _move(self, fraction):
        for slow, fast in zip(self.weights, self.followed, strict=True):
            slow.assign(fraction * fast.value + (1.0 - fraction) * slow.value)


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

        Raises:
          ValueError: If the upper percentile is not above the lower.
        """
        super().__init__(name="percentile_scale")
        if low >= high:
            raise ValueError(f"percentiles of returns rise, got {low} and {high}")
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
        returns = gather_over_replicas(returns)
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
        measured = tf.stack([tf.reduce_mean(returns), tf.reduce_mean(tf.square(returns))])
        return mean_over_replicas(measured)


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
        return self._scaled(reward, self._magnitude_with(reward))

    def as_it_is(self, reward):
        """Normalises by the magnitude so far, whatever these rewards are."""
        return self._scaled(reward, self.magnitude)

    def _scaled(self, reward, magnitude):
        return reward * (self.scale / (magnitude + self.epsilon))

    def update(self, reward, skipped):
        """Takes rewards into the magnitude, unless what they were used for was skipped (1)."""
        if self.momentum < 1.0:
            new = self._magnitude_with(reward)
            self.magnitude.assign(tf.where(skipped > 0, self.magnitude, new))

    def _magnitude_with(self, reward):
        if self.momentum == 1.0:
            return tf.convert_to_tensor(self.magnitude)
        mean = mean_over_replicas(tf.reduce_mean(tf.abs(tf.stop_gradient(reward))))
        magnitude = self.momentum * self.magnitude + (1.0 - self.momentum) * mean
        # As in `_Average`: what is not finite would stay.
        return tf.where(tf.math.is_finite(magnitude), magnitude, self.magnitude)
