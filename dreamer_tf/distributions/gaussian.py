"""Diagonal Gaussians of the latent state."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dreamer_tf.distributions.unit_normal import LOG_SQRT_TWO_PI


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
