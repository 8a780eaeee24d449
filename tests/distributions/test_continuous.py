"""Normals: policies against recordings and definitions, densities of pairs, one by one and all."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_probability import distributions as tfd

from dreamer_tf.distributions import (
    BoundedNormal,
    TruncatedNormal,
    diagonal_gaussian,
    pairwise_log_prob,
)
from tests.golden_data import Golden, assert_close

# ---- BoundedNormal, against the DreamerV3 recordings.


@pytest.fixture(scope="module")
def golden():
    return Golden("v3_heads")


@pytest.fixture(scope="module")
def dist(golden):
    raw = {}
    for name in ("mean", "stddev"):
        layer = golden.group(f"bounded_normal/param/{name}")
        raw[name] = golden["in/x"] @ layer["kernel"] + layer["bias"]
    limits = {"min_std": golden.settings["minstd"], "max_std": golden.settings["maxstd"]}
    return BoundedNormal(raw["mean"], raw["stddev"], **limits)


def test_recorded_distribution(golden, dist):
    recorded = golden.group("bounded_normal")
    assert_close(dist.mean, recorded["mean"])
    assert_close(dist.std, recorded["std"])
    assert_close(dist.mode(), recorded["pred"])
    assert_close(dist.log_prob(recorded["event"]), recorded["logp"])
    assert_close(dist.entropy(), recorded["entropy"])
    assert_close(dist.sample(recorded["noise"]), recorded["sample"])
    low, high = dist.entropy_bounds()
    assert_close(low, recorded["minent"][0].sum())
    assert_close(high, recorded["maxent"][0].sum())


def test_it_is_a_normal(golden, dist):
    normal = tfd.Normal(dist.mean, dist.std)
    event = golden["bounded_normal/event"]
    np.testing.assert_allclose(dist.log_prob(event), np.sum(normal.log_prob(event), -1), rtol=1e-5)
    standard = np.sum(normal.kl_divergence(tfd.Normal(0.0, 1.0)), -1)
    assert_close(standard, golden["bounded_normal/kl_to_standard"])


# ---- TruncatedNormal: recorded values and gradients, and what a density must satisfy.


@pytest.fixture(scope="module")
def recorded():
    return Golden("v2_heads").group("trunc_normal")


@pytest.fixture(scope="module")
def parameters(recorded):
    return tf.constant(recorded["loc"]), tf.constant(recorded["scale"])


def test_recorded_values(recorded, parameters):
    dist = TruncatedNormal(*parameters)
    assert_close(dist.log_prob(recorded["given"]), recorded["given_logprob"])
    assert_close(dist.entropy(), recorded["entropy"])
    assert_close(dist.mode(), recorded["mode"])
    assert_close(dist.quantile(recorded["uniform"]), recorded["sample_raw"])
    assert_close(dist.sample(recorded["uniform"]), recorded["sample"])


def gradients(parameters, recorded, function):
    """Gradients of the weighted elements of ``function(dist)`` towards location and scale."""
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        # One distribution for each element, so that what is summed over can be weighed too.
        loc, scale = (tf.reshape(x, [-1, 1]) for x in parameters)
        values = tf.reshape(function(TruncatedNormal(loc, scale)), [-1])
        loss = tf.reduce_sum(values * recorded["weight"].ravel())
    return tape.gradient(loss, parameters)


@pytest.mark.parametrize("name", ["sample", "logprob", "entropy"])
def test_recorded_gradients(recorded, parameters, name):
    column = {key: recorded[key].reshape(-1, 1) for key in ("uniform", "given")}
    function = {
        "sample": lambda dist: dist.sample(column["uniform"]),
        "logprob": lambda dist: dist.log_prob(column["given"]),
        "entropy": lambda dist: dist.entropy(),
    }[name]
    towards_loc, towards_scale = gradients(parameters, recorded, function)
    assert_close(towards_loc, recorded[f"grad_{name}_loc"], tolerance=1e-4)
    assert_close(towards_scale, recorded[f"grad_{name}_scale"], tolerance=1e-4)


def test_samples_reach_both_bounds_and_stay_inside():
    dist = TruncatedNormal(tf.constant([[0.99]]), tf.constant([[0.1]]))
    draws = tf.constant([[0.0]]), tf.constant([[np.nextafter(np.float32(1), np.float32(0))]])
    low, high = (dist.sample(draw).numpy().item() for draw in draws)
    assert -1 < low < high < 1
    assert np.isfinite(dist.log_prob(tf.constant([[low]]))).all()


def test_samples_are_distributed_as_the_density_says():
    count = 20_000
    dist = TruncatedNormal(tf.fill([count, 1], 0.3), tf.fill([count, 1], 0.8))
    draws = (np.arange(count, dtype=np.float32)[:, None] + 0.5) / count
    samples = dist.sample(tf.constant(draws)).numpy().ravel()
    edges = np.linspace(-1, 1, 21)
    frequencies, _ = np.histogram(samples, edges)
    middle = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)[:, None]
    one = TruncatedNormal(tf.constant([0.3]), tf.constant([0.8]))
    expected = np.exp(one.log_prob(tf.constant(middle))) * (edges[1] - edges[0])
    np.testing.assert_allclose(frequencies / count, expected, atol=2e-4)
    assert expected.sum() == pytest.approx(1, abs=1e-3)


# ---- Densities of all pairs against one pair at a time.


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
