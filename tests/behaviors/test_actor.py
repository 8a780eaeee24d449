"""The tanh-Gaussian and the one-hot actor, mostly against the V1 recordings."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import OneHotActor, TanhNormalActor
from dreamer_tf.distributions import TanhNormal
from tests.golden_data import Golden, assert_close, load_weights, v1_weights


@pytest.fixture(scope="module")
def golden():
    return Golden("v1_actor")


@pytest.fixture(scope="module")
def actor(golden):
    settings = golden.settings
    actor = TanhNormalActor(
        settings["layers"],
        settings["units"],
        settings["action"],
        init_std=settings["init_std"],
        min_std=settings["min_std"],
        mean_scale=settings["mean_scale"],
        activation=settings["activation"],
    )
    actor.build(golden["in/feat"].shape[-1])
    recorded = {f"actor/{k}": v for k, v in golden.group("param/tanh_normal").items()}
    load_weights(v1_weights(heads={"actor": actor}), recorded)
    return actor


def test_recorded_distribution(actor, golden):
    recorded = golden.group("tanh_normal")
    dist = actor.dist(golden["in/feat"])
    assert_close(dist.mean_before_tanh, recorded["mean"])
    assert_close(dist.std, recorded["std"])
    sample = dist.sample(recorded["noise"])
    assert_close(sample, recorded["sample"])
    assert_close(dist.log_prob(recorded["sample"]), recorded["sample_logprob"])
    assert_close(dist.log_prob(recorded["given"]), recorded["given_logprob"])


def test_recorded_estimates_from_samples(actor, golden):
    recorded = golden.group("tanh_normal")
    dist = actor.dist(golden["in/feat"])
    assert_close(dist.sample(recorded["noise100"]), recorded["sample100"])
    assert_close(dist.log_prob(recorded["sample100"]), recorded["logprob100"])
    of_recorded = -np.mean(dist.log_prob(recorded["sample100"]), axis=0)
    assert_close(of_recorded, recorded["entropy"])
    # Our own samples near ±1 differ in the last bit, which the inverse tanh amplifies.
    assert_close(dist.entropy(recorded["noise100"]), recorded["entropy"], tolerance=1e-2)
    assert np.all(np.abs(dist.mode()) <= 1)


def test_best_of_samples_is_the_likeliest_for_each_element(actor, golden):
    noise = golden["tanh_normal/noise100"]
    dist = actor.dist(golden["in/feat"])
    samples = dist.sample(noise).numpy()
    best = dist.log_prob(samples).numpy().argmax(0)
    expected = samples[best, np.arange(samples.shape[1])]
    np.testing.assert_array_equal(dist.best_of(noise), expected)
    # Where the recorded likelihoods have one clear winner, so do ours.
    recorded = golden["tanh_normal/logprob100"]
    ordered = np.sort(recorded, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-3
    assert_close(expected[clear], golden["tanh_normal/mode_per_element"][clear])


def test_recorded_gradient_through_a_sample(actor, golden):
    with tf.GradientTape() as tape:
        sample = actor.dist(golden["in/feat"]).sample(golden["tanh_normal/noise"])
        loss = tf.reduce_sum(sample * golden["tanh_normal/given"])
    gradient = tape.gradient(loss, actor.out.kernel.value)
    assert_close(gradient, golden["grad/tanh_normal/out/kernel"], tolerance=1e-4)


def test_the_mode_is_the_tanh_of_the_mean_or_the_likeliest_sample(actor, golden):
    feat, rng = tf.constant(golden["in/feat"]), tf.random.Generator.from_seed(0)
    np.testing.assert_array_equal(actor.mode(feat), actor.dist(feat).mode())
    tf.keras.utils.set_random_seed(0)  # With some weights a single sample is likelier.
    choosy = TanhNormalActor(0, 0, 2, init_std=1.0, min_std=0.1, mean_scale=5.0, mode_samples=200)
    choosy.build(feat.shape[-1])
    dist = choosy.dist(feat)
    better = dist.log_prob(choosy.mode(feat, choosy.mode_draws(rng, [6]))) > dist.log_prob(
        dist.sample(rng.normal([6, 2]))
    )
    assert better.numpy().all()


@pytest.fixture(scope="module")
def one_hot(golden):
    settings = golden.settings
    sizes = settings["layers"], settings["units"], settings["classes"]
    actor = OneHotActor(*sizes, activation=settings["activation"])
    actor.build(golden["in/feat"].shape[-1])
    recorded = {f"actor/{k}": v for k, v in golden.group("param/onehot").items()}
    load_weights(v1_weights(heads={"actor": actor}), recorded)
    return actor


def test_recorded_one_hot_distribution(one_hot, golden):
    recorded = golden.group("onehot")
    feat = tf.constant(golden["in/feat"])
    dist = one_hot.dist(feat)
    assert_close(dist.probs, recorded["probs"])
    assert_close(dist.sample(tf.constant(recorded["sample_index"])), recorded["sample"])
    assert_close(dist.log_prob(recorded["given"]), recorded["given_logprob"])
    assert_close(dist.entropy(), recorded["entropy"])
    assert_close(one_hot.mode(feat, tf.random.Generator.from_seed(0)), recorded["mode"])
    metrics = one_hot.metrics(dist, None)
    assert_close(metrics["actor_entropy"], recorded["entropy"].mean())


def test_recorded_gradient_straight_through_a_one_hot_sample(one_hot, golden):
    recorded = golden.group("onehot")
    with tf.GradientTape() as tape:
        sample = one_hot.dist(golden["in/feat"]).sample(tf.constant(recorded["sample_index"]))
        loss = tf.reduce_sum(sample * recorded["weight"])
    gradient = tape.gradient(loss, one_hot.out.kernel.value)
    assert_close(gradient, golden["grad/onehot/out/kernel"], tolerance=1e-4)


def test_log_prob_and_its_gradient_are_finite_at_the_bounds():
    mean = tf.Variable([[0.0, 3.0]])
    with tf.GradientTape() as tape:
        log_prob = TanhNormal(mean, tf.ones([1, 2])).log_prob(tf.constant([[1.0, -1.0]]))
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(log_prob, mean)).all()


def test_density_integrates_to_one():
    dist = TanhNormal(tf.constant([[0.4]]), tf.constant([[0.7]]))
    grid = np.linspace(-1, 1, 20001, dtype=np.float32)[1:-1, None]
    density = np.exp(dist.log_prob(grid[:, None]).numpy()[:, 0])
    assert abs(np.trapezoid(density, grid[:, 0]) - 1) < 1e-3
