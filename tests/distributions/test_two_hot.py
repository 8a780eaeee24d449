"""The two-hot distribution against the V3 recordings, and what it must hold exactly."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.distributions import TwoHot, symexp_bins, two_hot
from tests.golden_data import Golden, assert_close

GOLDEN = Golden("v3_scalars")


@pytest.mark.parametrize("count", GOLDEN.settings["bins"])
def test_recorded_distribution(count):
    recorded = GOLDEN.group(f"bins{count}")
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


def test_targets_get_no_gradient():
    value = tf.constant([3.0])
    with tf.GradientTape() as tape:
        tape.watch(value)
        loss = TwoHot(tf.zeros([1, 5]), symexp_bins(5)).log_prob(value)
    assert tape.gradient(loss, value) is None
