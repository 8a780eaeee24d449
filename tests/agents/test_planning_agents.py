"""The planner on the models of Dreamer, DreamerV2 and DreamerV3: what it maximises, and acting."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from dreamer_tf.training import resuming
from dreamer_tf.training.driver import BothStates

OBS_SPACE = {"position": Space(np.float32, (3,))}
BOX = {"action": Space(np.float32, (2,), -1, 1)}
CATEGORY = {"action": Space(np.int32, (), 0, 3)}
NAMES = ["dreamer", "dreamerv2", "dreamerv3"]
HORIZON = 3
SEARCH = {"horizon": HORIZON, "candidates": 12, "elites": 3, "actor_trajectories": 2}
# All elites count alike, because with these weights draws and large numbers decide returns.
SEARCH |= {"temperature": 0.0}


def make_agent(name, act_space=BOX, policy="planner", planner=(), **options):
    tf.keras.utils.set_random_seed(0)
    options = {
        "policy": policy,
        **{f"planner.{key}": value for key, value in {**SEARCH, **dict(planner)}.items()},
        **options,
    }
    overrides = {"agent": name} | {f"{name}.{key}": value for key, value in options.items()}
    agent = agents.make(config.load(["debug"], overrides).config, OBS_SPACE, act_space)
    rng = np.random.default_rng(0)
    for network in agent.networks.values():
        for variable in network.trainable_variables:
            # So that states and actions matter to an untrained model.
            variable.assign_add(rng.normal(0, 0.3, variable.shape))
    return agent


@pytest.fixture(scope="module")
def made():
    """Dict of algorithm to agent with a planner."""
    return {name: make_agent(name) for name in NAMES}


def make_features(agent, count=5):
    size = agent.world_model.rssm.feat_size
    feat = np.random.default_rng(1).normal(size=(HORIZON + 1, count, size))
    return tf.constant(feat, tf.float32)


def lambda_return(rewards, discounts, values, mix):
    """R_t = r_t + γ_t ((1 - λ) v_{t+1} + λ R_{t+1}) of the first step, R of the last being v."""
    total = values[-1]
    for reward, discount, value in zip(rewards[::-1], discounts[::-1], values[::-1], strict=True):
        total = reward + discount * ((1 - mix) * value + mix * total)
    return total


@pytest.mark.parametrize("discount_model", [False, True])
@pytest.mark.parametrize("value_model", [False, True])
def test_dreamer_plans_for_the_return_of_its_actor(discount_model, value_model):
    agent = make_agent(
        "dreamer", discount_model=discount_model, value_model=value_model, discount=0.9
    )
    feat, heads = make_features(agent), agent.world_model.heads
    rewards = list(heads["reward"](feat[1:]).numpy())
    discounts = [0.9 if value_model else 1.0] * HORIZON
    if discount_model:
        discounts = list(tf.sigmoid(heads["cont"](feat[1:])).numpy())
    if value_model:
        # The last state's reward is a part of its value.
        values = list(agent.behavior.critic(feat[2:]).numpy())
        expected = lambda_return(rewards[:-1], discounts[:-1], values, 0.95)
    else:
        expected = lambda_return(rewards, discounts, [np.zeros(5)] * HORIZON, 1.0)
    np.testing.assert_allclose(agent.planned_return(feat), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("discount_model", [False, True])
def test_dreamerv2_plans_for_the_target_of_its_critic(discount_model):
    agent = make_agent(
        "dreamerv2",
        discount_model=discount_model,
        discount=0.9,
        **{"reward_norm.momentum": 0.9, "reward_norm.scale": 3.0},
    )
    feat, heads = make_features(agent), agent.world_model.heads
    rewards = list(3.0 * heads["reward"](feat[:-1]).numpy())
    discounts = [0.9] * HORIZON
    if discount_model:
        # That the episode goes on now is known.
        discounts = [0.9, *tf.sigmoid(heads["cont"](feat[1:-1])).numpy()]
    agent.behavior.slow_critic.network.set_weights(
        [2.0 * weight for weight in agent.behavior.critic.get_weights()]
    )
    values = list(agent.behavior.slow_critic.network(feat[1:]).numpy())
    expected = lambda_return(rewards, discounts, values, 0.95)
    np.testing.assert_allclose(agent.planned_return(feat), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("slow_target", [False, True])
@pytest.mark.parametrize("cont_discount", [False, True])
def test_dreamerv3_plans_in_the_units_of_its_rewards(slow_target, cont_discount):
    agent = make_agent(
        "dreamerv3", slow_target=slow_target, cont_discount=cont_discount, horizon=10
    )
    behavior = agent.behavior
    behavior.slow_critic.network.set_weights(
        [0.5 * weight for weight in behavior.critic.get_weights()]
    )
    feat, heads = make_features(agent), agent.world_model.heads

    def decoded(head):
        """The mean of symexp over the points, by their probabilities."""
        points = np.linspace(-20, 20, 41)
        points = np.sign(points) * np.expm1(np.abs(points))
        share = tf.nn.softmax(tf.cast(head(feat[1:]), tf.float64)).numpy()
        return list(share @ points)

    critic = behavior.slow_critic.network if slow_target else behavior.critic
    discounts = tf.sigmoid(heads["cont"](feat[1:])).numpy() * (1.0 if cont_discount else 0.9)
    expected = lambda_return(decoded(heads["reward"]), list(discounts), decoded(critic), 0.95)
    got = behavior.planned_return(heads["reward"], heads["cont"], feat)
    assert np.abs(expected).max() > 10, "nothing that symlog would change much"
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-2)


def observations(count=2, seed=0):
    rng = np.random.default_rng(seed)
    return {"position": rng.normal(size=(count, 3)).astype(np.float32)}


@pytest.mark.parametrize("name", NAMES)
def test_the_planner_acts_and_keeps_what_is_left_of_its_plan(made, name):
    agent = made[name]
    for mode in ("train", "eval"):
        state, seen = None, []
        for step in range(3):
            obs = observations(seed=step) | {"is_first": np.full(2, step == 0)}
            action, state = agent.policy(obs, state, mode)
            assert action["action"].shape == (2, 2) and np.all(np.abs(action["action"]) <= 1)
            assert state.plan.shape == (2, HORIZON, 2)
            seen.append(state.plan.numpy())
        assert np.abs(seen[-1][:, :-1]).max() > 0 and not np.any(seen[-1][:, -1])
    functions = agent._policies.values()
    assert [function.experimental_get_tracing_count() for function in functions] == [1, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_ends_with_its_episode(made, name):
    agent = made[name]
    noise = agent.policy_noise(2, agent.rng, "eval")
    obs = {key: tf.constant(value) for key, value in observations().items()}
    before = agent.initial_state(2)
    planned = before._replace(plan=tf.ones([2, HORIZON, 2]))
    first = tf.constant([True, False])
    fresh, _ = agent.act(obs, before, first, noise, "eval")
    kept, _ = agent.act(obs, planned, first, noise, "eval")
    np.testing.assert_array_equal(kept["action"][0], fresh["action"][0])
    assert np.any(kept["action"][1] != fresh["action"][1])


@pytest.mark.parametrize("name", NAMES)
def test_with_the_actors_mode_alone_the_agent_acts_as_with_its_actor(name):
    alone = {"candidates": 1, "elites": 1, "actor_trajectories": 1}
    planner, actor = make_agent(name, planner=alone), make_agent(name, policy="actor")
    obs = {key: tf.constant(value) for key, value in observations().items()}
    noise = planner.policy_noise(2, planner.rng, "eval")
    first = tf.ones([2], bool)
    planned, _ = planner.act(obs, planner.initial_state(2), first, noise, "eval")
    own = noise | {"action": ()}
    expected, state = actor.act(obs, actor.initial_state(2), first, own, "eval")
    assert state.plan == ()
    np.testing.assert_allclose(planned["action"], expected["action"], atol=1e-6)


@pytest.mark.parametrize("name", NAMES[:2])  # DreamerV3's returns here are mostly large noise.
def test_the_plan_is_better_in_the_model_than_the_actor(name):
    wide = {"iterations": 6, "candidates": 200, "elites": 20, "actor_trajectories": 1}
    agent = make_agent(name, planner=wide)
    rssm, planner = agent.world_model.rssm, agent.planner
    start, noise = rssm.initial_state(1), planner.draws(agent.rng, 1, "eval")
    found = planner.search(start, noise, planner.initial_plan(1))
    count = 100
    led = planner._led(start, noise["led"])
    many = tf.nest.map_structure(lambda x: tf.repeat(x, count, axis=0), start)
    draws = rssm.latent.draws(tf.random.Generator.from_seed(1), [HORIZON, count])

    def value(plan):
        states = rssm.predict(tf.repeat(tf.transpose(plan, [1, 0, 2]), count, 1), many, draws)
        feats = [tf.concat([x.stoch, x.deter], -1) for x in (many, states)]
        return planner._evaluate(tf.concat([feats[0][None], feats[1]], 0)).numpy()

    difference = value(found.mean) - value(led[:, 0])
    assert difference.mean() > 2 * difference.std() / count**0.5


@pytest.mark.parametrize("name", NAMES)
def test_discrete_actions_are_refused(name):
    with pytest.raises(ValueError, match="continuous actions; action is discrete.*policy actor"):
        make_agent(name, CATEGORY)


def test_a_horizon_that_sees_no_reward_is_refused():
    with pytest.raises(ValueError, match="at least 2, .* got 1"):
        make_agent("dreamer", planner={"horizon": 1})


def test_dreamerv2_may_explore_otherwise_before_the_planner_takes_over():
    agent = make_agent("dreamerv2", **{"explore.behavior": "random", "explore.until": 5})
    obs = {key: tf.constant(value) for key, value in observations().items()}
    noise = agent.policy_noise(2, agent.rng, "train")
    before = agent.initial_state(2)._replace(plan=tf.ones([2, HORIZON, 2]))
    args = obs, before, tf.zeros([2], bool), noise, "train"
    random, state = agent.act(*args)
    np.testing.assert_allclose(random["action"], 2 * noise["action"][0] - 1, atol=1e-6)
    np.testing.assert_array_equal(state.plan, before.plan)
    agent.grad_steps.assign(5)
    planned, state = agent.act(*args)
    assert np.any(planned["action"] != random["action"]) and np.any(state.plan != before.plan)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_episode_goes_on_with_another_way_to_act(name, made):
    obs = {"position": np.zeros((2, 3), np.float32), "is_first": np.ones(2, bool)}
    planner, actor = made[name], make_agent(name, policy="actor")
    longer = make_agent(name, planner={"horizon": HORIZON + 2})
    for agent in (planner, actor):
        state = agent.policy(obs, mode="train")[1]
        saved = resuming.to_json(BothStates(None, state))
        for other in (planner, actor, longer):
            random = agents.make(config.load(["debug"], {"agent": "random"}).config, OBS_SPACE, BOX)
            known = resuming.from_json(saved, random, other, 2).after
            tf.nest.map_structure(np.testing.assert_array_equal, known.latent, state.latent)
            same = agent is other and other.planner
            expected = state.plan if same else other.initial_state(2).plan
            np.testing.assert_array_equal(known.plan, expected)
            later = {**obs, "is_first": np.zeros(2, bool)}
            other.policy(later, known, mode="train")
