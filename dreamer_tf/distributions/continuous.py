"""Normals of all kinds: those of continuous policies, of latent states and of observations."""

import math

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

LOG_SQRT_TWO_PI = 0.5 * math.log(2.0 * math.pi)
LARGEST_ACTION = 0.99999997
"""Actions are pulled inside this bound (0.99999994 in float32) before the inverse tanh, where it
is finite: a saturated action is scored at |u| = 8.664."""
MARGIN = 1e-6
"""Samples of a `TruncatedNormal` stay this far inside the bounds, where the density is positive."""


# ---- Policies: DreamerV3's, DreamerV2's and Dreamer's.


class BoundedNormal:
    """Independent Normals over the last axis, from raw network outputs m and s.

    mean = tanh(m), std = (max_std - min_std) · σ(s + 2) + min_std. Samples may lie beyond
    [-1, 1]: they are scored as they were drawn, and cut by whoever executes them.

    Reference: arXiv:2301.04104, section "Actor learning"; the parametrisation is that of the
    authors' code.
    """

    def __init__(self, mean, std, *, min_std=0.1, max_std=1.0):
        """Bounds the parameters.

        Args:
          mean: ``[..., A]`` raw output.
          std: ``[..., A]`` raw output.
          min_std: Smallest standard deviation.
          max_std: Largest standard deviation.
        """
        self.mean = tf.tanh(tf.cast(mean, tf.float32))
        gate = tf.sigmoid(tf.cast(std, tf.float32) + 2.0)
        self.std = (max_std - min_std) * gate + min_std
        self._limits = (min_std, max_std)

    def sample(self, noise):
        """Reparameterised sample mean + std · noise, from standard normal draws ``[..., A]``."""
        return self.mean + self.std * noise

    def mode(self):
        """The mean, ``[..., A]``."""
        return self.mean

    def log_prob(self, action):
        """Log density ``[...]`` of actions ``[..., A]``, summed over the last axis."""
        distance = (action - self.mean) / self.std
        log_probs = -0.5 * tf.square(distance) - tf.math.log(self.std) - LOG_SQRT_TWO_PI
        return tf.reduce_sum(log_probs, -1)

    def entropy(self):
        """Differential entropy ``[...]`` in nats, summed over the last axis."""
        return tf.reduce_sum(tf.math.log(self.std) + LOG_SQRT_TWO_PI + 0.5, -1)

    def entropy_bounds(self):
        """The smallest and the largest entropy that the bounds allow, in nats."""
        size = self.mean.shape[-1]
        return tuple(size * (math.log(std) + LOG_SQRT_TWO_PI + 0.5) for std in self._limits)


class TruncatedNormal:
    """x ~ Normal(loc, scale) given -1 ≤ x ≤ 1, independent over the last axis.

    A sample's gradient takes the bounds as if they moved with the distribution: 1 towards the
    location and (x - loc) / scale towards the scale, as in the author's code. The exact derivatives
    are smaller, and vanish where a sample is pressed against a bound.

    Reference: arXiv:2010.02193, section 2, "Actor critic"; the gradient: TensorFlow's sampler.
    """

    def __init__(self, loc, scale):
        """Wraps the parameters.

        Args:
          loc: ``[..., A]`` in [-1, 1].
          scale: ``[..., A]``, positive.
        """
        self.loc = tf.cast(loc, tf.float32)
        self.scale = tf.cast(scale, tf.float32)
        self._dist = tfd.TruncatedNormal(self.loc, self.scale, -1.0, 1.0)

    def sample(self, uniform):
        """Sample by the inverse of the distribution function, with the gradient described above.

        Args:
          uniform: ``[..., A]`` uniform draws in [0, 1).
        """
        distance = (self.quantile(uniform) - self.loc) / self.scale
        raw = self.loc + self.scale * tf.stop_gradient(distance)
        inside = tf.clip_by_value(raw, -1.0 + MARGIN, 1.0 - MARGIN)
        return raw + tf.stop_gradient(inside - raw)

    def quantile(self, uniform):
        """The inverse of the distribution function at ``[..., A]`` in [0, 1)."""
        return tf.clip_by_value(self._dist.quantile(uniform), -1.0, 1.0)

    def log_prob(self, action):
        """Log density of actions ``[..., A]`` in [-1, 1], ``[...]`` summed over the last axis."""
        return tf.reduce_sum(self._dist.log_prob(action), -1)

    def entropy(self):
        """Differential entropy, ``[...]``; largest, A · ln 2, for the uniform distribution."""
        return tf.reduce_sum(self._dist.entropy(), -1)

    def mode(self):
        """The likeliest action ``[..., A]``, the location."""
        return self.loc


class TanhNormal:
    """a = tanh(u), u ~ Normal(mean, std), independent over the last axis.

    Reference: arXiv:1912.01603, equation 3; arXiv:1801.01290, appendix C.
    """

    def __init__(self, mean, std):
        """Wraps the parameters before the tanh.

        Args:
          mean: ``[..., A]``.
          std: ``[..., A]``.
        """
        self.mean_before_tanh = tf.cast(mean, tf.float32)
        self.std = tf.cast(std, tf.float32)
        self._normal = tfd.Normal(self.mean_before_tanh, self.std)

    def sample(self, noise):
        """Reparameterised sample tanh(mean + std · noise).

        Args:
          noise: Standard normal draws, ``[..., A]`` or with further leading axes.
        """
        return tf.tanh(self.mean_before_tanh + self.std * noise)

    def log_prob(self, action):
        """Log density of actions, finite up to |action| = 1.

        Args:
          action: ``[..., A]`` in [-1, 1].

        Returns:
          ``[...]`` summed over the last axis.
        """
        inside = tf.clip_by_value(action, -LARGEST_ACTION, LARGEST_ACTION)
        u = tf.atanh(inside)
        log_det = tfb.Tanh().forward_log_det_jacobian(u, event_ndims=0)
        return tf.reduce_sum(self._normal.log_prob(u) - log_det, axis=-1)

    def entropy(self, noise):
        """Monte Carlo estimate, ``[...]``.

        There is no closed form.

        Args:
          noise: ``[samples, ..., A]`` standard normal draws.
        """
        return -tf.reduce_mean(self.log_prob(self.sample(noise)), axis=0)

    def mode(self):
        """Tanh of the mean, ``[..., A]``: the median action, cheap and deterministic."""
        return tf.tanh(self.mean_before_tanh)

    def best_of(self, noise):
        """The likeliest of several samples, the authors' stand-in for the mode.

        Each batch element picks its own (the authors' TF2 code uses the first element's choice
        for all).

        Args:
          noise: ``[samples, ..., A]`` standard normal draws.

        Returns:
          ``[..., A]``.
        """
        samples = self.sample(noise)
        best = tf.argmax(self.log_prob(samples), axis=0)
        chosen = tf.one_hot(best, noise.shape[0], axis=0, dtype=samples.dtype)
        return tf.reduce_sum(samples * chosen[..., None], axis=0)


# ---- Diagonal Gaussians of the latent state.


def diagonal_gaussian(mean, std):
    """A Gaussian over the last axis.

    Args:
      mean: ``[..., S]``.
      std: ``[..., S]`` standard deviations.

    Returns:
      A TFP distribution with event shape ``[S]``.
    """
    return tfd.MultivariateNormalDiag(mean, std)


def gaussian_kl(post, prior):
    """KL(post ‖ prior) in nats, summed over the state's dimensions.

    Args:
      post: Dict with ``mean`` and ``std``, each ``[..., S]``.
      prior: The same.

    Returns:
      ``[...]`` divergences.

    Reference: arXiv:1811.04551, equation 3.
    """
    return tfd.kl_divergence(diagonal_gaussian(**post), diagonal_gaussian(**prior))


def pairwise_log_prob(mean, std, values):
    """Log density of every value under every one of many Gaussians, as one matrix product.

    ::

        ln N(x; μ, σ²) = [−½/σ², μ/σ²] · [x², x] − ½ μ²/σ² − ln σ − ½ ln 2π

    and the sum of that over the dimensions. Expanded squares cancel badly far from the origin, so
    everything is first shifted to the mean of the values; the density does not change, and neither
    do the gradients.

    Args:
      mean: ``[N, S]``.
      std: ``[N, S]`` standard deviations.
      values: ``[M, S]``.

    Returns:
      ``[N, M]``: value m under Gaussian n.
    """
    origin = tf.stop_gradient(tf.reduce_mean(values, axis=0))
    mean, values = mean - origin, values - origin
    precision = 1.0 / tf.square(std)
    weights = tf.concat([-0.5 * precision, mean * precision], axis=-1)
    powers = tf.concat([tf.square(values), values], axis=-1)
    surprise = 0.5 * tf.square(mean) * precision + tf.math.log(std) + LOG_SQRT_TWO_PI
    constant = -tf.reduce_sum(surprise, axis=-1, keepdims=True)
    return tf.matmul(weights, powers, transpose_b=True) + constant


# ---- Likelihoods of observations, rewards and values, whose loss is a squared error.


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
