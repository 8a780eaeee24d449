"""The cross-entropy planner on problems whose solution is known."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import CrossEntropyPlanner
from dreamer_tf.ops import scan


def make_noise(planner, batch_size, action_size, seed=0):
    rng = tf.random.Generator.from_seed(seed, alg="philox")
    return planner.draws(rng, batch_size, action_size)


def quadratic(state, actions, noise):
    """Return −Σ (a − goal)², the start state being the goal ``[N, H A]`` of each environment."""
    flat = tf.reshape(tf.transpose(actions, [1, 0, 2]), state.shape)
    return -tf.reduce_sum(tf.square(flat - state), axis=-1)


def plan(planner, state, noise):
    """A plan that needs no draws to evaluate."""
    return planner.plan(state, noise, tf.zeros([planner.iterations, 0]))


def quadratic_problem(seed=1, batch_size=3, horizon=4, action_size=2, scale=0.9):
    goal = np.random.default_rng(seed).uniform(-scale, scale, (batch_size, horizon, action_size))
    return goal, tf.constant(goal.reshape(batch_size, -1), tf.float32)


def test_the_optimum_of_a_quadratic_is_found():
    planner = CrossEntropyPlanner(quadratic, horizon=4, iterations=15, candidates=1000, elites=100)
    goal, state = quadratic_problem()
    found = plan(planner, state, make_noise(planner, 3, 2))
    np.testing.assert_allclose(found, goal, atol=0.02)


def test_an_optimum_outside_of_the_bounds_is_approached_along_them():
    planner = CrossEntropyPlanner(quadratic, horizon=4, iterations=15, candidates=1000, elites=100)
    goal, state = quadratic_problem(scale=3.0)
    found = plan(planner, state, make_noise(planner, 3, 2))
    np.testing.assert_allclose(found, np.clip(goal, -1, 1), atol=0.03)
    assert np.abs(found).max() <= 1


def slow_reference(goal, noise, elites):
    """The search for one environment in NumPy: ``noise`` is ``[I, J, H, A]``."""
    mean, std = np.zeros(goal.shape), np.ones(goal.shape)
    for draws in noise:
        candidates = np.clip(mean + std * draws, -1, 1)
        returns = -np.square(candidates - goal).sum(axis=(1, 2))
        best = candidates[np.argsort(-returns)[:elites]]
        mean, std = best.mean(0), np.sqrt(best.var(0) + 1e-6)
    return mean


def test_slow_reference():
    planner = CrossEntropyPlanner(quadratic, horizon=4, iterations=5, candidates=60, elites=7)
    goal, state = quadratic_problem()
    noise = make_noise(planner, 3, 2)
    found = plan(planner, state, noise)
    for n in range(3):
        expected = slow_reference(goal[n], noise[:, n].numpy().astype(np.float64), 7)
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


class LinearSystem:
    """x' = M x + N u, reward −x'ᵀx' − 0.1 uᵀu; with draws, noise on every step."""

    M = np.array([[1.0, 0.3], [0.0, 1.0]])
    N = np.array([[0.0], [0.3]])
    CONTROL_COST = 0.1

    def __call__(self, state, actions, noise):
        m, n = (tf.constant(matrix.T, tf.float32) for matrix in (self.M, self.N))

        def step(x, inputs):
            return x @ m + inputs[0] @ n + inputs[1]

        x = scan(step, state, (actions, noise), actions.shape[0])
        cost = tf.reduce_sum(x**2, -1) + self.CONTROL_COST * tf.reduce_sum(actions**2, -1)
        return -tf.reduce_sum(cost, 0)

    def best_plan(self, state, horizon):
        """The minimum of the quadratic cost, by its normal equations."""
        powers = [np.linalg.matrix_power(self.M, k) for k in range(horizon + 1)]
        free = np.concatenate([powers[k + 1] @ state for k in range(horizon)])
        zero = np.zeros_like(self.N)
        response = np.block(
            [
                [powers[k - j] @ self.N if j <= k else zero for j in range(horizon)]
                for k in range(horizon)
            ]
        )
        hessian = response.T @ response + self.CONTROL_COST * np.eye(horizon)
        return -np.linalg.solve(hessian, response.T @ free)[:, None]


STATES = np.array([[0.3, 0.1], [-0.25, 0.2]])


def linear_planner():
    return CrossEntropyPlanner(
        LinearSystem(), horizon=6, iterations=20, candidates=1000, elites=100
    )


def no_disturbance(planner, batch_size):
    return tf.zeros([planner.iterations, planner.horizon, batch_size * planner.candidates, 2])


def test_plans_in_linear_dynamics_are_the_analytic_ones():
    planner = linear_planner()
    state = tf.constant(STATES, tf.float32)
    found = planner.plan(state, make_noise(planner, 2, 1), no_disturbance(planner, 2))
    expected = np.stack([LinearSystem().best_plan(x, planner.horizon) for x in STATES])
    assert np.abs(expected).max() < 1, "the analytic plan does not know the bounds"
    assert np.abs(expected[0] - expected[1]).max() > 0.5, "the two environments should differ"
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_environments_are_planned_as_if_each_were_alone():
    planner = CrossEntropyPlanner(LinearSystem(), horizon=6, iterations=4, candidates=50, elites=5)
    state = tf.constant(STATES, tf.float32)
    noise = make_noise(planner, 2, 1)
    disturbance = 0.1 * tf.random.Generator.from_seed(7).normal([4, 6, 2, 50, 2])
    both = planner.plan(state, noise, tf.reshape(disturbance, [4, 6, 100, 2]))
    for n in range(2):
        alone = planner.plan(state[n : n + 1], noise[:, n : n + 1], disturbance[:, :, n])
        np.testing.assert_allclose(alone[0], both[n], atol=1e-6)
    # The same draws at the other's state give another plan, so the equality above says something.
    crossed = planner.plan(state[1:], noise[:, :1], disturbance[:, :, 0])
    assert np.abs(crossed[0] - both[0]).max() > 0.1


def test_random_shooting_is_the_case_of_one_elite():
    planner = CrossEntropyPlanner(quadratic, horizon=4, iterations=1, candidates=30, elites=1)
    goal, state = quadratic_problem()
    noise = make_noise(planner, 3, 2)
    candidates = np.clip(noise[0], -1, 1)
    best = np.square(candidates - goal[:, None]).sum((2, 3)).argmin(1)
    expected = candidates[np.arange(3), best]
    np.testing.assert_allclose(plan(planner, state, noise), expected, atol=1e-6)


def test_one_graph_whose_size_does_not_depend_on_the_iterations():
    sizes = []
    for iterations in (2, 20):
        planner = CrossEntropyPlanner(
            quadratic, horizon=4, iterations=iterations, candidates=30, elites=3
        )
        function = tf.function(lambda state, noise, p=planner: plan(p, state, noise))
        _, state = quadratic_problem()
        for seed in range(3):
            function(state, make_noise(planner, 3, 2, seed))
        assert function.experimental_get_tracing_count() == 1
        concrete = function.get_concrete_function(state, make_noise(planner, 3, 2))
        sizes.append(len(concrete.graph.get_operations()))
    assert sizes[0] == sizes[1]


def test_the_number_of_environments_may_be_unknown_to_the_graph():
    planner = CrossEntropyPlanner(LinearSystem(), horizon=6, iterations=4, candidates=50, elites=5)
    noise, rest = make_noise(planner, 2, 1), no_disturbance(planner, 2)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2]),
            tf.TensorSpec([4, None, 50, 6, 1]),
            tf.TensorSpec([4, 6, None, 2]),
        ]
    )
    def any_number(state, noise, rest):
        return planner.plan(state, noise, rest)

    state = tf.constant(STATES, tf.float32)
    expected = planner.plan(state, noise, rest)
    np.testing.assert_allclose(any_number(state, noise, rest), expected, atol=1e-6)


def test_more_elites_than_candidates_are_refused():
    with pytest.raises(ValueError, match="20 elites .* 10 candidates"):
        CrossEntropyPlanner(quadratic, horizon=1, iterations=1, candidates=10, elites=20)
