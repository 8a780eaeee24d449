"""λ-returns against the recordings, the explicit mixture of the papers, and a slow reference."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamer_tf.ops import cumulative_discount, lambda_return, reward_sum
from tests.golden_data import Golden, assert_close


@pytest.mark.parametrize("lambda_", ["0", "0.95", "1"])
def test_recorded_returns(lambda_):
    golden = Golden("v1_lambda_return")
    reward, value, bootstrap = golden["in/reward"], golden["in/value"], golden["in/bootstrap"]
    actual = lambda_return(reward, value, golden["in/pcont"], bootstrap, float(lambda_))
    assert_close(actual, golden[f"out/lambda_{lambda_}"])


def test_recorded_without_bootstrap():
    golden = Golden("v1_lambda_return")
    zeros = np.zeros_like(golden["in/bootstrap"])
    actual = lambda_return(golden["in/reward"], golden["in/value"], golden["in/pcont"], zeros, 0.95)
    assert_close(actual, golden["out/no_bootstrap"])


def explicit_mixture(reward, value, discount, bootstrap, lambda_):
    """The paper's double sum: V_λ(s_t) = (1-λ) Σ_{n=1}^{M-1} λ^{n-1} V^n + λ^{M-1} V^M, M = H - t.

    V^k(s_t) sums k discounted rewards and adds the discounted value of the state after them.
    """
    horizon = len(reward)
    values = np.concatenate([value, bootstrap[None]])
    result = np.zeros_like(reward)
    for t in range(horizon):
        steps = horizon - t
        k_step = []
        for k in range(1, steps + 1):
            total, factor = np.zeros_like(bootstrap), np.ones_like(bootstrap)
            for n in range(t, t + k):
                total = total + factor * reward[n]
                factor = factor * discount[n]
            k_step.append(total + factor * values[t + k])
        mixed = sum((1 - lambda_) * lambda_ ** (n - 1) * k_step[n - 1] for n in range(1, steps))
        result[t] = mixed + lambda_ ** (steps - 1) * k_step[-1]
    return result


@settings(max_examples=30, deadline=None)
@given(
    horizon=st.integers(1, 7),
    lambda_=st.floats(0, 1),
    terminal=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_recursion_equals_the_explicit_mixture(horizon, lambda_, terminal, seed):
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=(2, horizon, 3)).astype(np.float32)
    discount = rng.uniform(0, 1, (horizon, 3)).astype(np.float32)
    if terminal:
        discount[rng.integers(horizon)] = 0
    bootstrap = rng.normal(size=3).astype(np.float32)
    actual = lambda_return(reward, value, discount, bootstrap, lambda_)
    expected = explicit_mixture(
        *(x.astype(float) for x in (reward, value, discount, bootstrap)), lambda_
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_first_value_has_no_influence():
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, 4, 2)).astype(np.float32)
    moved = value.copy()
    moved[0] += 1
    first = lambda_return(reward, value, 0.9, value[-1], 0.5)
    second = lambda_return(reward, moved, 0.9, value[-1], 0.5)
    np.testing.assert_array_equal(first, second)


def test_weights_begin_with_one_and_have_no_gradient():
    discount = tf.constant([[0.5], [0.25], [0.0], [0.9]])
    with tf.GradientTape() as tape:
        tape.watch(discount)
        weights = cumulative_discount(discount)
    np.testing.assert_allclose(weights[:, 0], [1.0, 0.5, 0.125, 0.0])
    assert tape.gradient(weights, discount) is None


@settings(max_examples=30, deadline=None)
@given(horizon=st.integers(1, 8), seed=st.integers(0, 2**16), discounted=st.booleans())
def test_reward_sums_equal_a_double_loop(horizon, seed, discounted):
    rng = np.random.default_rng(seed)
    reward = rng.normal(size=[horizon, 3])
    discount = rng.uniform(0, 1, [horizon, 3]) if discounted else np.ones([horizon, 3])
    expected = np.zeros_like(reward)
    for t in range(horizon):
        for n in range(t, horizon):
            expected[t] += np.prod(discount[t:n], axis=0) * reward[n]
    actual = reward_sum(tf.constant(reward, tf.float32), tf.constant(discount, tf.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
