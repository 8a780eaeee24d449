"""Densities of all pairs against one pair at a time."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamer_tf.distributions import diagonal_gaussian, pairwise_log_prob


def draw(seed, gaussians, values, size, offset=0.0, spread=0.0):
    rng = np.random.default_rng(seed)
    mean = rng.normal(offset, 1, [gaussians, size])
    std = np.exp(rng.normal(spread, 0.5, [gaussians, size]))
    return mean, std, rng.normal(offset, 1, [values, size])


def slow_log_prob(mean, std, values):
    """The density of one dimension of one value under one Gaussian after the other."""
    result = np.zeros([len(mean), len(values)])
    for n, m, s in np.ndindex(len(mean), len(values), mean.shape[1]):
        error = (values[m, s] - mean[n, s]) / std[n, s]
        result[n, m] -= 0.5 * error**2 + np.log(std[n, s]) + 0.5 * np.log(2 * np.pi)
    return result


def as_float32(arrays):
    return [tf.constant(array, tf.float32) for array in arrays]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    gaussians=st.integers(1, 6),
    values=st.integers(1, 6),
    size=st.integers(1, 5),
)
def test_every_pair_has_the_density_of_the_slow_reference(seed, gaussians, values, size):
    arrays = draw(seed, gaussians, values, size)
    actual = pairwise_log_prob(*as_float32(arrays))
    np.testing.assert_allclose(actual, slow_log_prob(*arrays), rtol=1e-5, atol=1e-4)


def test_distance_from_the_origin_costs_no_precision():
    arrays = draw(0, 20, 30, 50, offset=100.0, spread=-2.0)
    exact = slow_log_prob(*[np.float64(tensor) for tensor in as_float32(arrays)])
    actual = pairwise_log_prob(*as_float32(arrays))
    np.testing.assert_allclose(actual, exact, rtol=1e-5)


def test_gradients_are_those_of_the_direct_formula():
    mean, std, values = as_float32(draw(3, 5, 7, 4, offset=2.0))
    weights = tf.random.stateless_normal([5, 7], seed=(0, 1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([mean, std, values])
        fast = tf.reduce_sum(weights * pairwise_log_prob(mean, std, values))
        direct = diagonal_gaussian(mean[:, None], std[:, None]).log_prob(values[None])
        slow = tf.reduce_sum(weights * direct)
    for ours, theirs in zip(
        tape.gradient(fast, [mean, std, values]),
        tape.gradient(slow, [mean, std, values]),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
