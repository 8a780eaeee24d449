"""One-hot and two-hot distributions: recorded numbers, slow definitions, what must hold exactly."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.distributions import OneHot, TwoHot, mixed_two_hot, symexp_bins, two_hot
from tests.golden_data import Golden, assert_close

# ---- One-hot.


def random_logits(*shape, seed=0, scale=2.0):
    return tf.constant(np.random.default_rng(seed).normal(0, scale, shape), tf.float32)


def test_recorded_entropy_mode_and_log_prob():
    golden = Golden("v2_heads")
    dist = OneHot(golden["onehot/logits"])
    assert_close(dist.entropy(), golden["onehot/entropy"])
    assert_close(dist.mode(), golden["onehot/mode"])
    assert_close(dist.log_prob(golden["onehot/given"]), golden["onehot/given_logprob"])
    assert_close(dist.sample(tf.constant(golden["onehot/sample_index"])), golden["onehot/sample"])


def test_recorded_uniform_mix():
    golden = Golden("v3_heads")
    dist = OneHot(golden["onehot/logits"], golden.settings["onehot_unimix"])
    assert_close(dist.log_probs, golden["onehot/logits_mixed"])
    assert_close(dist.log_prob(golden["onehot/event"]), golden["onehot/logp"])
    assert_close(dist.entropy(), golden["onehot/entropy"])
    assert_close(dist.mode(), golden["onehot/pred"])


@pytest.mark.parametrize("unimix", [0.0, 0.01])
def test_frequencies_are_the_probabilities(unimix):
    dist = OneHot(random_logits(1, 5), unimix)
    draws = tf.constant((np.arange(100_000, dtype=np.float32) + 0.5) / 100_000)
    wide = OneHot(tf.tile(random_logits(1, 5), [100_000, 1]), unimix)
    frequencies = tf.reduce_mean(wide.sample(draws), 0)
    np.testing.assert_allclose(frequencies, dist.probs[0], atol=2e-5)


def test_the_ends_of_the_interval_are_classes_with_probability():
    logits = tf.constant([[-1e9, 0.0, 0.0, -1e9]])
    for draw, expected in [(0.0, 1), (np.nextafter(np.float32(1), np.float32(0)), 2)]:
        sample = OneHot(logits).sample(tf.constant([draw], tf.float32))
        assert tf.argmax(sample, -1).numpy().tolist() == [expected]


def test_the_uniform_mix_bounds_probabilities_from_below():
    probs = OneHot(tf.constant([[100.0, 0.0, -100.0, 0.0]]), 0.01).probs
    assert probs.numpy().min() == pytest.approx(0.01 / 4)
    assert tf.reduce_sum(probs).numpy() == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 4, 8, 9])
def test_probabilities_and_their_gradient_are_those_of_softmax(classes):
    scaled = [random_logits(6, classes, scale=scale) for scale in (1.0, 40.0)]
    logits = tf.concat([*scaled, np.full([1, classes], -1e30, np.float32)], 0)
    weight = random_logits(13, classes, seed=1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        probs, expected = OneHot(logits).probs, tf.nn.softmax(logits)
        sums = [tf.reduce_sum(weight * x) for x in (probs, expected)]
    assert_close(probs, expected)
    assert_close(*(tape.gradient(x, logits) for x in sums))


def test_a_sample_has_the_gradient_of_the_probabilities():
    logits, weight = random_logits(6, 4), random_logits(6, 4, seed=1)
    draws = tf.random.stateless_uniform([6], [0, 1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        dist = OneHot(logits, 0.01)
        sampled = tf.reduce_sum(weight * dist.sample(draws))
        expected = tf.reduce_sum(weight * dist.probs)
    assert_close(tape.gradient(sampled, logits), tape.gradient(expected, logits))


def test_the_divergence_is_that_of_the_definition():
    post, prior = OneHot(random_logits(3, 2, 5)), OneHot(random_logits(3, 2, 5, seed=1), 0.1)
    p, q = post.probs.numpy().astype(float), prior.probs.numpy().astype(float)
    assert_close(post.kl(prior), np.sum(p * np.log(p / q), -1).astype(np.float32))


def test_nan_is_seen_in_the_sample():
    dist = OneHot(tf.constant([[0.0, np.nan], [0.0, 1.0]]))
    sample = dist.sample(tf.constant([0.5, 0.5]))
    assert np.isnan(sample[0]).any() and np.isfinite(sample[1]).all()


# ---- Two-hot.


SCALARS = Golden("v3_scalars")


@pytest.mark.parametrize("count", SCALARS.settings["bins"])
def test_recorded_distribution(count):
    recorded = SCALARS.group(f"bins{count}")
    bins = symexp_bins(count)
    assert_close(bins, recorded["bins"])
    logits, target = tf.constant(recorded["in/logits"]), recorded["in/target"]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        dist = TwoHot(logits, bins)
        loss, mean = -dist.log_prob(target), dist.mean()
        scaled = 1e-6 * mean
    assert_close(two_hot(target, bins), recorded["twohot"])
    assert_close(loss, recorded["loss"])
    assert_close(mean, recorded["pred"])
    assert_close(tape.gradient(loss, logits), recorded["grad_loss_logits"], 1e-4)
    assert_close(tape.gradient(scaled, logits), recorded["grad_pred_logits"], 1e-4)


def test_points_that_no_number_has_trained_learn_exactly_alike():
    rng = np.random.default_rng(0)
    logits = np.repeat(rng.standard_normal([4096, 1], np.float32), 255, 1)
    logits[:, 127] = rng.standard_normal(4096)
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = TwoHot(logits, symexp_bins(255)).log_prob(tf.zeros([4096]))
    gradient = tape.gradient(loss, logits).numpy()
    untrained = np.delete(gradient, [126, 127, 128], 1)
    np.testing.assert_array_equal(untrained, np.repeat(untrained[:, :1], 252, 1))


@pytest.mark.parametrize("count", [2, 6, 7, 255])
def test_equal_or_mirrored_probabilities_predict_exactly_zero(count):
    bins = symexp_bins(count)
    np.testing.assert_array_equal(bins, -bins[::-1])
    logits = np.random.default_rng(0).normal(size=(3, count)).astype(np.float32)
    logits[0] = 0.0
    logits = logits + logits[:, ::-1]
    np.testing.assert_array_equal(TwoHot(logits, bins).mean(), np.zeros(3))


@hypothesis.given(st.floats(-1e8, 1e8, width=32), st.sampled_from([5, 40, 255]))
@hypothesis.settings(max_examples=50, deadline=None)
def test_shares_give_the_number_back(value, count):
    bins = symexp_bins(count)
    shares = two_hot(tf.constant([[value]]), bins).numpy()
    assert shares.shape == (1, 1, count)
    assert np.count_nonzero(shares) <= 2 and shares.min() >= 0
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-6)
    # Where a number is close to one of two distant points, the other's share is inexact.
    gap = np.diff(bins).max(where=(bins[1:] >= value) & (bins[:-1] <= value), initial=0.0)
    np.testing.assert_allclose(shares[0, 0] @ bins.astype(float), value, atol=1e-6 * (1 + gap))


def test_numbers_beyond_the_ends_belong_to_the_last_point():
    shares = two_hot(tf.constant([-1e30, 1e30]), symexp_bins(5)).numpy()
    np.testing.assert_array_equal(shares, [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]])


def test_shares_of_several_numbers_add_up():
    bins = symexp_bins(7)
    one, other = tf.constant([[1.5, -3e7, 0.0]]), tf.constant([[2.0, 4.0, 0.0]])
    mixed = mixed_two_hot([(0.25, one), (3.0, other)], bins)
    assert_close(mixed, 0.25 * two_hot(one, bins) + 3.0 * two_hot(other, bins))


def test_targets_get_no_gradient():
    value = tf.constant([3.0])
    with tf.GradientTape() as tape:
        tape.watch(value)
        loss = TwoHot(tf.zeros([1, 5]), symexp_bins(5)).log_prob(value)
    assert tape.gradient(loss, value) is None
