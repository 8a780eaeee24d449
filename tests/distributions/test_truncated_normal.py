"""The truncated normal: recorded values and gradients, and what a density must satisfy."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.distributions import TruncatedNormal
from tests.golden_data import Golden, assert_close


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
