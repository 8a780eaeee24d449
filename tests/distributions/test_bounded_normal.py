"""Continuous policies against the DreamerV3 recordings."""

import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

from dreamer_tf.distributions import BoundedNormal
from tests.golden_data import Golden, assert_close


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
