"""The contrastive loss and its windows against slow references."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamer_tf.ops import contrastive_loss, cyclic_window

FIRST, SECOND = (0, 1), (2, 3)


def rolled_window(size, width):
    """Who meets whom when an array is rolled by each of the shifts -width // 2 … and compared."""
    window = np.zeros([size, size], bool)
    for shift in range(-(width // 2), -(width // 2) + width):
        window[np.arange(size), np.roll(np.arange(size), shift)] = True
    return window


def test_the_windows_of_the_docstring():
    drawn = {
        2: ["11000", "01100", "00110", "00011", "10001"],
        3: ["11001", "11100", "01110", "00111", "10011"],
    }
    for width, rows in drawn.items():
        window = cyclic_window(5, width).numpy().astype(int)
        assert ["".join(map(str, row)) for row in window] == rows


@given(size=st.integers(1, 40), data=st.data())
def test_windows_hold_the_places_that_rolling_brings_together(size, data):
    width = data.draw(st.integers(1, size))
    window = cyclic_window(size, width).numpy()
    np.testing.assert_array_equal(window, rolled_window(size, width))
    assert np.all(window.sum(1) == width) and np.all(np.diag(window))


@pytest.mark.parametrize("width", [0, 6])
def test_impossible_windows_are_refused(width):
    with pytest.raises(ValueError, match=f"1 to 5 wide, got {width}"):
        cyclic_window(5, width)


def slow_loss(log_prob, sequences, steps, axes):
    """Loops over every place and every candidate."""
    batch_size, length = log_prob.shape[:2]
    near_b, near_t = rolled_window(batch_size, sequences), rolled_window(length, steps)
    loss = np.zeros([batch_size, length])
    for b, t in np.ndindex(batch_size, length):
        total = 0.0
        for other_b, other_t in np.ndindex(batch_size, length):
            if axes == SECOND and near_b[b, other_b] and near_t[t, other_t]:
                total += np.exp(log_prob[b, t, other_b, other_t])
            if axes == FIRST and near_b[other_b, b] and near_t[other_t, t]:
                total += np.exp(log_prob[other_b, other_t, b, t])
        loss[b, t] = np.log(total) - log_prob[b, t, b, t]
    return loss


sizes = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(st.just(shape), st.integers(1, shape[0]), st.integers(1, shape[1]))
)


@settings(max_examples=40, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 2**16), axes=st.sampled_from([FIRST, SECOND]))
def test_the_loss_equals_a_slow_reference(sizes, seed, axes):
    (batch_size, length), sequences, steps = sizes
    rng = np.random.default_rng(seed)
    log_prob = rng.normal(0, 3, [batch_size, length, batch_size, length])
    windows = cyclic_window(batch_size, sequences), cyclic_window(length, steps)
    loss = contrastive_loss(tf.constant(log_prob, tf.float32), *windows, axes).numpy()
    expected = slow_loss(log_prob, sequences, steps, axes)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(sizes=sizes, level=st.floats(-1e6, 1e6), axes=st.sampled_from([FIRST, SECOND]))
def test_the_loss_lies_between_zero_and_what_knowing_nothing_costs(sizes, level, axes):
    (batch_size, length), sequences, steps = sizes
    windows = cyclic_window(batch_size, sequences), cyclic_window(length, steps)
    places = batch_size * length
    shape = [batch_size, length, batch_size, length]
    alike = tf.fill(shape, np.float32(level))
    loss = contrastive_loss(alike, *windows, axes)
    np.testing.assert_allclose(loss, np.log(sequences * steps), atol=0.07)
    certain = alike + tf.reshape(1e7 * tf.eye(places), shape)
    np.testing.assert_array_equal(contrastive_loss(certain, *windows, axes), 0.0)


@pytest.mark.parametrize("axes", [FIRST, SECOND])
def test_pairs_outside_the_windows_have_no_gradient(axes):
    log_prob = tf.random.stateless_normal([4, 5, 4, 5], seed=(1, 2))
    windows = cyclic_window(4, 2), cyclic_window(5, 3)
    with tf.GradientTape() as tape:
        tape.watch(log_prob)
        loss = tf.reduce_sum(contrastive_loss(log_prob, *windows, axes))
    gradient = tape.gradient(loss, log_prob).numpy()
    inside = np.einsum("bc,tu->btcu", *[window.numpy() for window in windows]).astype(bool)
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(gradient != 0, inside)
