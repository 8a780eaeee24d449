"""PlaNet's planner on Dreamer's world model, with the value of the last state."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from tests.agents.test_dreamer import ACT_SPACE, OBS_SPACE, make_batch, snapshot, unchanged

HORIZON = 4


def make_agent(act_space=ACT_SPACE, **options):
    tf.keras.utils.set_random_seed(0)
    options = {
        "policy": "planner",
        "planner.horizon": HORIZON,
        "planner.candidates": 50,
        "planner.elites": 5,
        "planner.iterations": 6,
        **options,
    }
    overrides = {f"dreamer.{key}": value for key, value in options.items()}
    agent = agents.make(config.load(["debug"], overrides).config, OBS_SPACE, act_space)
    rng = np.random.default_rng(0)
    networks = [
        *agent.world_model.networks.values(),
        *([agent.behavior.critic] if agent.behavior.critic else []),
    ]
    for variable in [v for network in networks for v in network.trainable_variables]:
        # So that states and actions matter to an untrained model.
        variable.assign_add(rng.normal(0, 0.5, variable.shape))
    return agent


def candidates(agent, count):
    rng = np.random.default_rng(1)
    rssm = agent.world_model.rssm
    actions = rng.uniform(-1, 1, (HORIZON, count, 2)).astype(np.float32)
    noise = rssm.latent.draws(tf.random.Generator.from_seed(1), [HORIZON, count])
    return rssm.initial_state(count), tf.constant(actions), noise


def features(agent, state, actions, noise):
    """Features after each action, a step at a time."""
    found = []
    for t in range(HORIZON):
        state = agent.world_model.rssm.img_step(state, actions[t], noise[t])
        found.append(tf.concat([state.stoch, state.deter], -1))
    return found


@pytest.mark.parametrize("discount_model", [False, True])
def test_candidates_are_judged_by_rewards_and_the_value_of_the_last_state(discount_model):
    agent = make_agent(return_lambda=1.0, discount=0.9, discount_model=discount_model)
    args = candidates(agent, 5)
    feats, heads = features(agent, *args), agent.world_model.heads
    expected, weight = 0.0, 1.0
    for feat in feats[:-1]:
        expected += weight * heads["reward"](feat)
        weight *= tf.sigmoid(heads["cont"](feat)) if discount_model else 0.9
    # The last state's reward is a part of its value.
    expected += weight * agent.behavior.critic(feats[-1])
    np.testing.assert_allclose(agent.planned_return(*args), expected, rtol=1e-4, atol=1e-4)


def test_without_a_value_model_candidates_are_judged_by_the_sum_of_rewards():
    agent = make_agent(value_model=False)
    args = candidates(agent, 5)
    expected = sum(agent.world_model.heads["reward"](feat) for feat in features(agent, *args))
    np.testing.assert_allclose(agent.planned_return(*args), expected, rtol=1e-4, atol=1e-4)


def test_the_plan_is_better_than_random_actions():
    agent = make_agent()
    behavior = agent.acting
    noise = behavior.draws(agent.rng, 1)
    plan = behavior.planner.plan(
        agent.world_model.rssm.initial_state(1), noise["plan"], noise["rollout"]
    )
    state, actions, draws = candidates(agent, 200)
    random = agent.planned_return(state, actions, draws)
    planned = tf.repeat(tf.transpose(plan, [1, 0, 2]), 200, axis=1)
    planned = agent.planned_return(state, planned, draws)
    assert np.mean(planned) > np.mean(random) + 5 * np.std(random) / 200**0.5


def test_the_planner_acts_and_the_actor_still_learns():
    agent = make_agent()
    weights = [
        *agent.behavior.actor.trainable_variables,
        *agent.behavior.critic.trainable_variables,
    ]
    before = snapshot(weights)
    metrics, _ = agent.train_step(make_batch(), ())
    assert metrics["nonfinite"] == 0 and not unchanged(before, weights)
    obs = {key: make_batch(batch_size=2, length=1)[key][:, 0] for key in OBS_SPACE}
    for mode in ("train", "eval"):
        state = None
        for _ in range(3):
            action, state = agent.policy(obs, state, mode)
            assert action["action"].shape == (2, 2) and np.all(np.abs(action["action"]) <= 1)
    functions = agent._policies.values()
    assert [function.experimental_get_tracing_count() for function in functions] == [1, 1]


def test_the_first_action_of_the_plan_is_taken():
    agent = make_agent(exploration_noise=0.0)
    obs = {key: make_batch(batch_size=2, length=1)[key][:, 0] for key in OBS_SPACE}
    noise = {
        "post": agent.world_model.rssm.latent.draws(agent.rng, [2]),
        "action": agent.acting.draws(agent.rng, 2),
        "explore": tf.zeros([2, 2]),
    }
    actions, state = agent.act(obs, agent.initial_state(2), tf.ones([2], bool), noise, "train")
    draws = noise["action"]
    plan = agent.acting.planner.plan(state.latent, draws["plan"], draws["rollout"])
    np.testing.assert_allclose(actions["action"], plan[:, 0], atol=1e-6)
    np.testing.assert_array_equal(state.action, actions["action"])


def test_what_a_planner_cannot_do_is_refused():
    with pytest.raises(ValueError, match="continuous actions"):
        make_agent(act_space={"action": Space(np.int32, (), 0, 3)})
    with pytest.raises(ValueError, match="at least 2, .* got 1"):
        make_agent(**{"planner.horizon": 1})
