"""Heads of the world model and the critic against the DreamerV3 recordings."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.distributions import (
    OneHot,
    PseudoHuber,
    SquaredError,
    TwoHot,
    diagonal_gaussian,
    symexp_bins,
)
from dreamer_tf.nn import BernoulliHead, TwoHotHead, fan_in_normal
from dreamer_tf.ops import symlog
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import load
from tests.golden_v3 import head_places

HIDDEN = {"norm": "rms_silu", "activation": "linear", "initializer": fan_in_normal()}


@pytest.fixture(scope="module")
def golden():
    return Golden("v3_heads")


def raw_output(golden, name):
    layer = golden.group(name)
    return golden["in/x"] @ layer["kernel"] + layer["bias"]


def test_recorded_two_hot_output(golden):
    logits = raw_output(golden, "symexp_twohot/param/logits")
    dist = TwoHot(logits, symexp_bins(golden.settings["bins"]))
    assert_close(logits, golden["symexp_twohot/logits"])
    assert_close(dist.mean(), golden["symexp_twohot/pred"])
    assert_close(-dist.log_prob(golden["symexp_twohot/target"]), golden["symexp_twohot/loss"])


def test_recorded_two_hot_head(golden):
    recorded = golden.group("mlp_head/param")
    s, feat = golden.settings, golden["in/x"]
    units = recorded["reward/layer0/bias"].size
    head = TwoHotHead(s["mlp_layers"], units, s["bins"], **HIDDEN)
    head.build(feat.shape[-1])
    load(head_places("reward", head), recorded)
    assert_close(head(feat), golden["mlp_head/logits"])
    assert_close(head.dist(feat).mean(), golden["mlp_head/pred"])


def test_recorded_binary_head(golden):
    head = BernoulliHead(0, 1)
    feat, recorded = golden["in/x"], golden.group("binary")
    head.build(feat.shape[-1])
    head.out.kernel.assign(recorded["param/logit/kernel"])
    head.out.bias.assign(recorded["param/logit/bias"])
    dist = head.dist(feat)
    assert_close(head(feat), recorded["logit"])
    assert_close(dist.mean(), recorded["prob1"])
    assert_close(dist.log_prob(recorded["event"]), recorded["logp"])
    np.testing.assert_array_equal(head(feat) > 0, recorded["pred"])


@pytest.mark.parametrize("name, prepare", [("mse", tf.identity), ("symlog_mse", symlog)])
def test_recorded_squared_errors(golden, name, prepare):
    dist = SquaredError(raw_output(golden, f"{name}/param/pred"), 1)
    assert_close(dist.mean, golden[f"{name}/pred"])
    log_prob = dist.log_prob(prepare(golden[f"{name}/target"]))
    assert_close(-log_prob, golden[f"{name}/loss"])
    mean = np.square(dist.mean - prepare(golden[f"{name}/target"])).mean()
    np.testing.assert_allclose(dist.fit(log_prob)["mse"], mean, rtol=1e-5)


def test_recorded_huber_loss(golden):
    target = golden["huber/target"]
    dist = PseudoHuber(raw_output(golden, "huber/param/pred"), 1)
    assert_close(dist.mode(), golden["huber/pred"])
    assert_close(-dist.log_prob(target), golden["huber/loss"])
    per_number = golden["huber/loss"].mean() / target.shape[-1]
    np.testing.assert_allclose(dist.fit(dist.log_prob(target))["huber"], per_number, rtol=1e-5)


def test_the_huber_loss_of_a_small_error_is_half_its_square():
    error = tf.constant([[1e-4], [1e4]])
    loss = -PseudoHuber(tf.zeros([2, 1]), 1).log_prob(error)
    np.testing.assert_allclose(loss, [0.5e-8, 1e4 - 1], rtol=1e-5)


def test_recorded_normal_with_logarithmic_deviation(golden):
    recorded = golden.group("normal_logstd")
    mean, log_std = (
        raw_output(golden, f"normal_logstd/param/{name}") for name in ("mean", "stddev")
    )
    dist = diagonal_gaussian(mean, tf.exp(log_std))
    assert_close(dist.mean(), recorded["mean"])
    assert_close(dist.stddev(), recorded["std"])
    assert_close(dist.log_prob(recorded["event"]), recorded["logp"])
    assert_close(dist.entropy(), recorded["entropy"])


@pytest.mark.parametrize("name", ["categorical", "categorical2"])
def test_recorded_categorical_output(golden, name):
    event = golden[f"{name}/event"]
    classes = golden.settings["classes"]
    logits = raw_output(golden, f"{name}/param/logits").reshape(*event.shape, classes)
    dist = OneHot(logits)
    log_prob, entropy = dist.log_prob(tf.one_hot(event, classes)), dist.entropy()
    if event.ndim > 1:
        log_prob, entropy = tf.reduce_sum(log_prob, -1), tf.reduce_sum(entropy, -1)
    else:
        np.testing.assert_array_equal(np.argmax(dist.mode(), -1), golden[f"{name}/pred"])
    assert_close(log_prob, golden[f"{name}/logp"])
    assert_close(entropy, golden[f"{name}/entropy"])


def test_recorded_categorical_with_uniform_mix(golden):
    dist = OneHot(golden["onehot/logits"], golden.settings["onehot_unimix"])
    assert_close(dist.log_probs, golden["onehot/logits_mixed"])
    assert_close(dist.log_prob(golden["onehot/event"]), golden["onehot/logp"])
    assert_close(dist.entropy(), golden["onehot/entropy"])
    assert_close(dist.mode(), golden["onehot/pred"])


def test_the_first_prediction_is_exactly_zero():
    head = TwoHotHead(2, 8, 255, out_initializer=fan_in_normal(0.0), **HIDDEN)
    head.build(4)
    feat = np.random.default_rng(0).normal(size=(5, 6, 4)).astype(np.float32)
    np.testing.assert_array_equal(head.dist(feat).mean(), np.zeros([5, 6]))
