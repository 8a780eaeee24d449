"""Actors and exploration against the DreamerV2 recordings."""

import math

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import (
    EpsilonGreedy,
    GaussianNoise,
    OneHotActor,
    TanhNormalActor,
    TruncatedNormalActor,
)
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import arrange, head_places, load

HALVES = ("out", "out_std")


@pytest.fixture(scope="module")
def golden():
    return Golden("v2_heads")


def built(golden, name, actor, halves=()):
    actor.build(golden["in/feat"].shape[-1])
    places = head_places(name, actor, halves)
    load(places, {f"{name}/{k}": v for k, v in golden.group(f"param/{name}").items()})
    return actor, places


def sizes(golden, outputs="action"):
    s = golden.settings
    return s["layers"], s["units"], s[outputs]


def block(golden):
    return {"activation": golden.settings["act"], "norm": golden.settings["norm"]}


def test_recorded_truncated_normal_actor(golden):
    s = golden.settings
    actor = TruncatedNormalActor(
        *sizes(golden), init_std=s["init_std"], min_std=s["min_std"], **block(golden)
    )
    actor, _ = built(golden, "trunc_normal", actor, HALVES)
    recorded, dist = golden.group("trunc_normal"), actor.dist(golden["in/feat"])
    assert_close(dist.loc, recorded["loc"])
    assert_close(dist.scale, recorded["scale"])
    assert_close(dist.sample(recorded["uniform"]), recorded["sample"])
    assert_close(dist.log_prob(recorded["given"]), recorded["given_logprob"])
    assert_close(actor.mode(golden["in/feat"], None), recorded["mode"])
    assert_close(actor.metrics(dist, None)["actor_entropy"], recorded["entropy"].mean())


def test_recorded_one_hot_actor_and_its_gradient(golden):
    actor, places = built(golden, "onehot", OneHotActor(*sizes(golden, "classes"), **block(golden)))
    variables = actor.trainable_variables
    with tf.GradientTape() as tape:
        sample = actor.dist(golden["in/feat"]).sample(tf.constant(golden["onehot/sample_index"]))
        loss = tf.reduce_sum(sample * golden["onehot/weight"])
    assert_close(sample, golden["onehot/sample"])
    assert_close(actor.mode(golden["in/feat"], None), golden["onehot/mode"])
    gradients = arrange(places, variables, tape.gradient(loss, [v.value for v in variables]))
    recorded = golden["grad/onehot/out/kernel"]
    assert_close(gradients["onehot/out/kernel"], recorded, tolerance=1e-4)


def test_recorded_tanh_normal_actor(golden):
    s = golden.settings
    # That code adds init_std to the raw output; here it is the deviation at a raw output of zero.
    init_std = math.log1p(math.exp(s["init_std"]))
    actor = TanhNormalActor(
        *sizes(golden), init_std=init_std, min_std=s["min_std"], mean_scale=5.0, **block(golden)
    )
    actor, _ = built(golden, "tanh_normal", actor, HALVES)
    recorded, dist = golden.group("tanh_normal"), actor.dist(golden["in/feat"])
    assert_close(dist.mean_before_tanh, recorded["mean"])
    assert_close(dist.std, recorded["std"])
    assert_close(dist.sample(recorded["noise"]), recorded["sample"])
    assert_close(dist.log_prob(recorded["given"]), recorded["given_logprob"])


def test_recorded_exploration(golden):
    noisy = GaussianNoise(0.3)(golden["tanh_normal/sample"], golden["noise/gauss"], 0)
    assert_close(noisy, golden["noise/action"])
    # The recorded class, drawn from the mixture, as an action that is always replaced.
    classes = golden.settings["classes"]
    by_which = (golden["onehot/noise_index"] + 0.5) / classes
    draws = np.stack([np.zeros_like(by_which), by_which], -1).astype(np.float32)
    noisy = EpsilonGreedy(0.3, 0.3, 1)(golden["onehot/given"], draws, 0)
    assert_close(noisy, golden["onehot/noisy"])


def test_one_distribution_for_all_steps_equals_one_for_each(golden):
    s = golden.settings
    actor = TruncatedNormalActor(*sizes(golden), init_std=s["init_std"], min_std=s["min_std"])
    actor.build(golden["in/feat"].shape[-1])
    feats = tf.random.stateless_normal([3, 4, golden["in/feat"].shape[-1]], [0, 1])
    outputs = tf.stack([actor(feat) for feat in feats])
    together = actor.dist_of(outputs).entropy()
    for feat, entropy in zip(feats, together, strict=True):
        np.testing.assert_allclose(actor.dist(feat).entropy(), entropy, rtol=1e-5)
