"""Exploration: recorded noise, the schedule, and how often an action is replaced."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import EpsilonGreedy, GaussianNoise
from tests.golden_data import Golden, assert_close


def test_recorded_gaussian_noise():
    golden = Golden("v1_actor")
    explorer = GaussianNoise(0.3)
    actual = explorer(golden["tanh_normal/sample"], golden["explore/noise"], 0)
    assert_close(actual, golden["explore/action"])


@pytest.mark.parametrize(
    ("grad_steps", "epsilon"), [(0, 0.4), (50, 0.325), (100, 0.25), (200, 0.1), (10**7, 0.1)]
)
def test_epsilon_falls_in_a_straight_line_and_stays(grad_steps, epsilon):
    explorer = EpsilonGreedy(0.4, 0.1, 200)
    assert float(explorer.epsilon(grad_steps)) == pytest.approx(epsilon, abs=1e-6)
    assert float(explorer.metrics(grad_steps)["exploration_epsilon"]) == pytest.approx(epsilon)


def test_the_two_draws_decide_whether_and_by_which():
    explorer = EpsilonGreedy(0.4, 0.0, 100)
    action = tf.one_hot([3, 3, 3, 3], 4)
    noise = tf.constant([[0.3, 0.0], [0.3, 0.99999994], [0.41, 0.0], [0.3, 0.5]])
    explored = tf.argmax(explorer(action, noise, 0), -1)
    np.testing.assert_array_equal(explored, [0, 3, 3, 2])
    np.testing.assert_array_equal(explorer(action, noise, 100), action)


def test_replaced_actions_are_uniform():
    explorer = EpsilonGreedy(0.4, 0.1, 200)
    noise = explorer.draws(tf.random.Generator.from_seed(0), [50_000, 5])
    explored = explorer(tf.one_hot(tf.fill([50_000], 1), 5), noise, tf.Variable(100))
    np.testing.assert_array_equal(tf.reduce_sum(explored, -1), 1)
    expected = [0.05, 0.8, 0.05, 0.05, 0.05]  # a quarter over five actions, the rest as chosen
    np.testing.assert_allclose(np.mean(explored, 0), expected, atol=0.006)
