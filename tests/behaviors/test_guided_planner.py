"""The planner that an actor guides, against its equations written out with loops."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import ActionEncoder, GuidedPlanner
from dreamer_tf.ops import scan
from dreamer_tf.specs import Space

SIZE, ENVS, HORIZON = 2, 3, 3
M = np.array([[0.9, 0.2], [-0.1, 1.0]], np.float32)
GOAL = np.array([0.4, -0.3], np.float32)
BOX = {"action": Space(np.float32, (SIZE,), -1, 1)}


class State(NamedTuple):
    deter: tf.Tensor
    stoch: tf.Tensor


class Latent:
    def draws(self, rng, shape):
        return rng.normal([*shape, SIZE])


class Model:
    """x' = x M + 0.5 a + 0.1 ε; the stochastic part is the draw."""

    latent = Latent()
    feat_size = 2 * SIZE

    def img_step(self, state, action, noise):
        return State(state.deter @ M + 0.5 * action + 0.1 * noise, noise)

    def predict(self, action, state, noise):
        return scan(lambda s, x: self.img_step(s, *x), state, (action, noise), action.shape[0])


class Actor:
    """Normal(tanh(x), 0.3)."""

    def __init__(self):
        self.std = 0.3

    def draws(self, rng, shape):
        return rng.normal([*shape, SIZE])

    def mode_draws(self, rng, shape):
        return ()

    def mode(self, feat, noise=()):
        return tf.tanh(feat[..., SIZE:])

    def dist(self, feat):
        self.mean = self.mode(feat)
        return self

    def sample(self, noise):
        return self.mean + self.std * noise


def evaluate(feat):
    """Return of features [stoch, deter]: nearness to the goal, discounted."""
    x = feat[..., SIZE:]
    near = -tf.reduce_sum(tf.square(x[1:] - GOAL), -1)
    return tf.reduce_sum(near * (0.9 ** np.arange(near.shape[0], dtype="f"))[:, None], 0)


def make_planner(**options):
    defaults = {"iterations": 4, "candidates": 20, "elites": 5, "actor_trajectories": 4}
    defaults |= {"horizon": HORIZON, "temperature": 2.0, "min_std": 0.05, "max_std": 1.5}
    return GuidedPlanner(Model(), Actor(), evaluate, ActionEncoder(BOX), **defaults | options)


def starts(seed=1):
    x = np.random.default_rng(seed).normal(size=(ENVS, SIZE)).astype(np.float32)
    return State(tf.constant(x), tf.zeros([ENVS, SIZE]))


def make_draws(planner, mode="eval", seed=0):
    return planner.draws(tf.random.Generator.from_seed(seed, alg="philox"), ENVS, mode)


# ---- The same with loops, for one environment.


def slow_return(x, actions, noise):
    total = 0.0
    for t, (action, draw) in enumerate(zip(actions, noise, strict=True)):
        x = x @ M + 0.5 * action + 0.1 * draw
        total -= 0.9**t * np.sum((x - GOAL) ** 2)
    return total


def slow_actor(x, latent, sample):
    """Actions of the actor from one state: its mode where there are no draws for samples."""
    actions = []
    for t in range(HORIZON):
        action = np.tanh(x) + (0.0 if sample is None else 0.3 * sample[t])
        actions.append(np.clip(action, -1, 1))
        x = x @ M + 0.5 * actions[-1] + 0.1 * latent[t]
    return np.array(actions)


def slow_search(planner, n, x, noise, plan):
    """Mean, deviation, elites and weights of environment n."""
    led = []
    for p in range(planner.led):
        latent = noise["led"]["latent"][:, n * planner.led + p]
        sample = None
        if p:
            sample = noise["led"]["sample"][:, n * (planner.led - 1) + p - 1]
        led.append(slow_actor(x, latent, sample))
    mean, std = plan, np.full(plan.shape, planner.bounds[1])
    for i in range(planner.iterations):
        drawn = noise["plan"][i, n] if planner.drawn else []
        candidates = led + [np.clip(mean + std * draw, -1, 1) for draw in drawn]
        latent = noise["rollout"][i, :, n]  # The same for all of them.
        compared = [(slow_return(x, actions, latent), actions) for actions in candidates]
        best = sorted(compared, key=lambda pair: -pair[0])[: planner.elites]
        returns, elites = np.array([r for r, _ in best]), np.array([a for _, a in best])
        weights = np.exp(planner.temperature * (returns - returns.max()))
        weights /= weights.sum()
        mean = np.einsum("e,eha->ha", weights, elites)
        variance = np.einsum("e,eha->ha", weights, (elites - mean) ** 2)
        std = np.clip(np.sqrt(variance), *planner.bounds)
    return mean, std, elites, weights


@pytest.mark.parametrize("options", [
    {},
    {"actor_trajectories": 1},
    {"actor_trajectories": 0, "temperature": 0.0},
    {"actor_trajectories": 20, "iterations": 1},
], ids=["both", "mode", "belief", "actor"])  # fmt: skip
def test_slow_reference(options):
    planner, state = make_planner(**options), starts()
    noise = make_draws(planner, "train")
    plan = np.random.default_rng(2).uniform(-1, 1, (ENVS, HORIZON, SIZE)).astype(np.float32)
    evaluated, left = planner.action(state, noise, "eval", tf.constant(plan))
    trained, _ = planner.action(state, noise, "train", tf.constant(plan))
    numpy = tf.nest.map_structure(lambda x: np.asarray(x, np.float64), noise)
    for n in range(ENVS):
        x = state.deter[n].numpy().astype(np.float64)
        mean, std, elites, weights = slow_search(planner, n, x, numpy, plan[n])
        np.testing.assert_allclose(evaluated[n], mean[0], atol=1e-4)
        np.testing.assert_allclose(left[n], [*mean[1:], np.zeros(SIZE)], atol=1e-4)
        chosen = np.searchsorted(np.cumsum(weights), numpy["elite"][n], side="right")
        expected = np.clip(elites[chosen, 0] + std[0] * numpy["action"][n], -1, 1)
        np.testing.assert_allclose(trained[n], expected, atol=1e-4)


def test_with_the_actors_mode_alone_it_acts_as_the_actor():
    planner = make_planner(candidates=1, elites=1, actor_trajectories=1)
    state = starts()
    action, left = planner.action(state, make_draws(planner), "eval")
    np.testing.assert_allclose(action, np.tanh(state.deter), atol=1e-6)
    assert left.shape == (ENVS, HORIZON, SIZE)


def test_without_noise_the_actors_samples_are_its_mode():
    planner = make_planner(candidates=6, elites=3, actor_trajectories=6)
    state = starts()
    noise = tf.nest.map_structure(tf.zeros_like, make_draws(planner, "train"))
    for mode in ("eval", "train"):
        action, _ = planner.action(state, noise, mode)
        np.testing.assert_allclose(action, np.tanh(state.deter), atol=1e-6)


def test_more_candidates_are_never_worse_in_the_models_eyes():
    state, best = starts(), []
    most = make_planner(iterations=1, candidates=84)
    noise = make_draws(most)
    for drawn in (1, 5, 20, 80):
        planner = make_planner(iterations=1, candidates=4 + drawn, elites=1)
        fewer = noise | {"plan": noise["plan"][:, :, :drawn]}
        found = planner.search(state, fewer, planner.initial_plan(ENVS))
        best.append(found.returns[:, 0].numpy())
    assert np.all(np.diff(best, axis=0) >= 0) and np.any(np.diff(best, axis=0) > 0)


def test_no_plan_is_worse_in_the_models_eyes_than_the_actors_own():
    state = starts()
    alone = make_planner(candidates=4, elites=1, actor_trajectories=4)
    planner = make_planner(iterations=1)
    noise = make_draws(planner)
    led = alone.search(state, noise, alone.initial_plan(ENVS))
    found = planner.search(state, noise, planner.initial_plan(ENVS))
    assert np.all(found.returns[:, 0] >= led.returns[:, 0])
    assert np.any(found.returns[:, 0] > led.returns[:, 0])


def test_a_high_temperature_follows_the_best_and_a_low_one_the_mean():
    state = starts()
    for temperature in (1e6, 0.0):
        planner = make_planner(temperature=temperature)
        found = planner.search(state, make_draws(planner), planner.initial_plan(ENVS))
        expected = found.elites[:, 0] if temperature else tf.reduce_mean(found.elites, 1)
        np.testing.assert_allclose(found.mean, expected, atol=1e-4)


def test_the_last_plan_is_where_the_search_begins():
    planner = make_planner(iterations=1, actor_trajectories=0, max_std=1e-3, min_std=1e-3)
    state, plan = starts(), tf.fill([ENVS, HORIZON, SIZE], 0.7)
    action, left = planner.action(state, make_draws(planner), "eval", plan)
    np.testing.assert_allclose(action, 0.7, atol=0.01)
    again, _ = planner.action(state, make_draws(planner), "eval", left)
    np.testing.assert_allclose(again, 0.7, atol=0.01)
    fresh, _ = planner.action(state, make_draws(planner), "eval")
    np.testing.assert_allclose(fresh, 0.0, atol=0.01)


def test_luck_is_not_taken_for_a_good_plan():
    """Draws that add to the return whatever is done leave the search as it is without them."""

    def lucky(feat):
        return evaluate(feat) + 100.0 * tf.reduce_sum(feat[1:, :, 0], axis=0)

    class Still(Model):
        """As the model, but for its draws, which are seen in the stochastic part alone."""

        def img_step(self, state, action, noise):
            return State(state.deter @ M + 0.5 * action, noise)

    state, found = starts(), []
    for judge in (evaluate, lucky):
        planner = make_planner(elites=1)
        planner._rssm, planner._evaluate = Still(), judge
        found.append(planner.search(state, make_draws(planner), planner.initial_plan(ENVS)))
    np.testing.assert_allclose(found[0].mean, found[1].mean, atol=1e-6)
    assert np.all(np.abs(found[0].returns - found[1].returns) > 1), "the draws changed nothing"


def test_the_optimum_is_found():
    planner = make_planner(iterations=8, candidates=300, elites=30, min_std=0.01)
    zero = tf.zeros([ENVS, SIZE])
    noise = make_draws(planner)
    noise["rollout"] = tf.zeros_like(noise["rollout"])
    noise["led"]["latent"] = tf.zeros_like(noise["led"]["latent"])
    action, _ = planner.action(State(zero, zero), noise, "eval")
    # One step from the origin to the goal.
    np.testing.assert_allclose(action, np.tile(2 * GOAL, [ENVS, 1]), atol=0.05)


def test_environments_are_planned_as_if_each_were_alone():
    planner, state = make_planner(), starts()
    noise = make_draws(planner)
    both, _ = planner.action(state, noise, "eval")

    def own(x, axis, n):
        parts = tf.split(x, ENVS, axis=axis)
        return parts[n]

    for n in range(ENVS):
        alone = {
            "led": {
                "latent": own(noise["led"]["latent"], 1, n),
                "sample": own(noise["led"]["sample"], 1, n),
                "mode": (),
            },
            "plan": own(noise["plan"], 1, n),
            "rollout": own(noise["rollout"], 2, n),
        }
        action, _ = planner.action(State(*(x[n : n + 1] for x in state)), alone, "eval")
        np.testing.assert_allclose(action[0], both[n], atol=1e-5)


def test_the_number_of_environments_may_be_unknown_to_the_graph():
    planner, state = make_planner(), starts()
    rng = tf.random.Generator.from_seed(0, alg="philox")

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, SIZE])] * 2)
    def act(deter, stoch):
        noise = planner.draws(rng, tf.shape(deter)[0], "train")
        return planner.action(State(deter, stoch), noise, "train")

    expected, left = planner.action(state, make_draws(planner, "train"), "train")
    got, rest = act(*state)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(rest, left, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"elites": 30}, "elites 30 is more than the 20 candidates"),
        ({"actor_trajectories": 21}, "actor_trajectories 21 is more than the 20 candidates"),
        ({"min_std": 2.0}, "min_std 2.0 is more than max_std 1.5"),
    ],
)
def test_counts_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_planner(**options)
