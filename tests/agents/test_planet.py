"""What PlaNet's update computes, and how it plans."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from dreamer_tf.world_model import overshooting_kl
from tests.acting import act, uncompiled
from tests.agents.test_dreamer import ACT_SPACE, OBS_SPACE, make_batch, snapshot, unchanged


def make_agent(obs_space=OBS_SPACE, act_space=ACT_SPACE, **overrides):
    tf.keras.utils.set_random_seed(0)
    options = {"agent": "planet"} | {f"planet.{key}": value for key, value in overrides.items()}
    return agents.make(config.load(["debug"], options).config, obs_space, act_space)


@pytest.fixture(scope="module")
def agent():
    return make_agent()


def make_decided_agent(**overrides):
    """An untrained agent in whose model states and actions matter: larger weights, and biases."""
    agent = make_agent(**overrides)
    rng = np.random.default_rng(0)
    for variable in agent.world_model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.5, variable.shape))
    return agent


def observations(count, seed=0):
    batch = make_batch(batch_size=count, length=1, seed=seed)
    return {key: batch[key][:, 0] for key in OBS_SPACE}


def slice_noise(noise, agent, index):
    """The draws of one environment."""
    planner = agent.acting.planner
    count = noise["explore"].shape[0]
    shape = [planner.iterations, planner.horizon, count, planner.candidates, -1]
    only = slice(index, index + 1)
    return {
        "image": {key: value[only] for key, value in noise["image"].items()},
        "post": noise["post"][only],
        "action": {
            "plan": noise["action"]["plan"][:, only],
            "rollout": tf.reshape(noise["action"]["rollout"], shape)[:, :, index],
        },
        "explore": noise["explore"][only],
    }


# ------------------------------------------------------------------- learning


@pytest.mark.parametrize("overshooting_scale", [0.0, 1.0])
@pytest.mark.parametrize("transition", ["rssm", "rnn", "ssm"])
def test_every_variable_gets_a_gradient(transition, overshooting_scale):
    agent = make_agent(transition=transition, overshooting_scale=overshooting_scale, free_nats=0.0)
    uncompiled(agent)
    networks = agent.world_model.networks.values()
    variables = {id(v) for network in networks for v in network.trainable_variables}
    assert variables == {id(v) for v in agent.model_step.targets}
    for seed in range(3):
        metrics, _ = agent.train_step(make_batch(seed=seed), ())
        assert metrics["nonfinite"] == 0
    # Adam's second moment is zero only where every gradient was.
    moments = [v for v in agent.model_step.optimizer.variables if "velocity" in v.path]
    for variable, moment in zip(agent.model_step.targets, moments, strict=True):
        assert np.abs(moment.numpy()).max() > 0, variable.path


def test_the_loss_is_the_weighted_sum_with_free_nats_at_each_step():
    agent = make_agent(free_nats=0.25, reward_scale=10.0, kl_scale=0.5)
    batch = make_batch()
    noise = agent.update_noise(*batch["reward"].shape)
    loss, metrics = agent.model_loss(batch, noise)
    prepared = agent.quantize(batch, noise["image"])
    _, post, prior = agent.world_model.observe(prepared, noise["post"])
    kl = agent.world_model.rssm.latent.kl(post.stats, prior).numpy()
    terms, _, _ = agent.world_model.losses(prepared, {"reward": batch["reward"]}, noise["post"])
    assert kl.min() < 0.25 < kl.max(), "the bound should matter at some steps, not at all"
    expected = 10 * terms["reward"] + terms["image"] + terms["position"]
    expected = np.mean(expected + 0.5 * np.maximum(kl, 0.25))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], kl.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["kl_loss"], np.maximum(kl, 0.25).mean(), rtol=1e-5)


@pytest.mark.parametrize(("distance", "reached"), [(3, 3), (50, 6)])
def test_overshooting_adds_the_mean_over_its_pairs(distance, reached):
    options = {"overshooting_distance": distance, "free_nats": 0.25}
    agent = make_agent(overshooting_scale=2.0, **options)
    batch = make_batch()
    batch["is_first"] = (
        tf.constant(np.arange(7) == 4)[None] & tf.constant([True, False, False])[:, None]
    )
    noise = agent.update_noise(*batch["reward"].shape)
    assert noise["overshooting"].shape[0] == reached
    loss, metrics = agent.model_loss(batch, noise)
    without, _ = make_agent(**options).model_loss(batch, noise)
    prepared = agent.quantize(batch, noise["image"])
    _, post, _ = agent.world_model.losses(prepared, {"reward": batch["reward"]}, noise["post"])
    divergence, exists = overshooting_kl(
        agent.world_model.rssm, post, batch["action"], batch["is_first"], noise["overshooting"]
    )
    expected = np.maximum(divergence.numpy()[exists.numpy()], 0.25).mean()
    np.testing.assert_allclose(metrics["overshooting_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss - without, 2 * expected, rtol=1e-2)


def test_one_trace_per_function_in_a_run(agent):
    for _ in range(3):
        agent.train_step(make_batch(), ())
    agent.report(make_batch())
    agent.report(make_batch(seed=1))
    for mode in ("train", "eval"):
        state = None
        for seed in range(3):
            _, state = agent.policy(observations(2, seed), state, mode)
    functions = (
        agent._train,
        *agent._policies.values(),
        agent._open_loop.predict,
    )
    assert [function.experimental_get_tracing_count() for function in functions] == [1] * 4


def test_nonfinite_batches_change_nothing_and_are_counted(agent):
    batch = make_batch()
    agent.train_step(batch, ())
    variables = [*agent.model_step.targets, *agent.model_step.optimizer.variables]
    before = snapshot(variables)
    batch["position"] = tf.fill(batch["position"].shape, np.float32(np.nan))
    metrics, _ = agent.train_step(batch, ())
    assert metrics["nonfinite"] == 1
    assert unchanged(before, variables)
    metrics, _ = agent.train_step(make_batch(), ())
    assert metrics["nonfinite"] == 0


def test_training_predicts_rewards_and_images():
    """A few hundred updates on one batch must fit it: a broken gradient anywhere would not."""
    agent = make_agent(free_nats=0.0, **{"optimizer.learning_rate": 3e-3})
    batch = make_batch(batch_size=4, length=7)
    colour = np.random.default_rng(0).integers(0, 256, (4, 7, 1, 1, 3), dtype=np.uint8)
    batch["image"] = tf.constant(np.broadcast_to(colour, (4, 7, 64, 64, 3)))
    first, _ = agent.train_step(batch, ())
    for _ in range(200):
        last, _ = agent.train_step(batch, ())
    assert last["image_mse"] < 0.6 * first["image_mse"]
    assert last["reward_loss"] < first["reward_loss"]


def test_same_seed_same_numbers():
    first, second = make_agent(), make_agent()
    for seed in range(2):
        ours, _ = first.train_step(make_batch(seed=seed), ())
        theirs, _ = second.train_step(make_batch(seed=seed), ())
        assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}
    actions = [agent.policy(observations(2))[0]["action"] for agent in (first, second)]
    np.testing.assert_array_equal(*actions)


def test_checkpoint_holds_everything(tmp_path):
    batch = make_batch()
    agent, other = make_agent(), make_agent()
    uncompiled(agent, other)
    for _ in range(2):
        agent.train_step(batch, ())
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other.train_step(batch, ())
    tf.train.Checkpoint(agent=other).read(path).assert_consumed()
    ours, _ = agent.train_step(batch, ())
    theirs, _ = other.train_step(batch, ())
    assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}
    actions = [which.policy(observations(2))[0]["action"] for which in (agent, other)]
    np.testing.assert_array_equal(*actions)


def test_bfloat16_agrees_roughly_with_float32():
    tf.keras.utils.set_random_seed(0)
    options = {"agent": "planet", "precision": "mixed_bfloat16"}
    mixed = agents.make(config.load(["debug"], options).config, OBS_SPACE, ACT_SPACE)
    ours, _ = make_agent().train_step(make_batch(), ())
    theirs, _ = mixed.train_step(make_batch(), ())
    np.testing.assert_allclose(theirs["model_loss"], ours["model_loss"], rtol=0.1)
    assert theirs["model_loss"] != ours["model_loss"]
    action = mixed.policy(observations(2))[0]["action"]
    assert action.dtype == np.float32 and np.isfinite(action).all()


# --------------------------------------------------------------------- acting


def test_the_return_of_candidates_is_the_sum_of_predicted_rewards(agent):
    rssm, horizon, count = agent.world_model.rssm, 4, 5
    rng = np.random.default_rng(0)
    actions = tf.constant(rng.uniform(-1, 1, (horizon, count, 2)).astype(np.float32))
    noise = rssm.latent.draws(tf.random.Generator.from_seed(1), [horizon, count])
    state = rssm.initial_state(count)
    total = 0.0
    for t in range(horizon):
        state = rssm.img_step(state, actions[t], noise[t])
        total += agent.world_model.heads["reward"](tf.concat([state.stoch, state.deter], -1))
    returns = agent.predicted_return(rssm.initial_state(count), actions, noise)
    np.testing.assert_allclose(returns, total, rtol=1e-4, atol=1e-5)
    assert np.std(returns) > 0


def test_the_plan_is_better_than_random_actions():
    agent = make_decided_agent(
        transition="rnn",  # Without noise in its predictions, which would hide some of the gain.
        **{"planner.candidates": 100, "planner.iterations": 8, "planner.elites": 10},
    )
    rssm, planner = agent.world_model.rssm, agent.acting.planner
    noise = agent.policy_noise(1, agent.rng, "train")["action"]
    start = rssm.initial_state(1)
    plan = planner.plan(start, noise["plan"], noise["rollout"])
    start = tf.nest.map_structure(lambda x: tf.repeat(x, 100, axis=0), start)
    random = tf.transpose(tf.clip_by_value(noise["plan"][0, 0], -1.0, 1.0), [1, 0, 2])
    planned = tf.repeat(tf.transpose(plan, [1, 0, 2]), 100, axis=1)
    draws = noise["rollout"][0]
    returns = [agent.predicted_return(start, actions, draws) for actions in (random, planned)]
    assert np.min(returns[1]) > np.max(returns[0])


@pytest.mark.parametrize("transition", ["rssm", "rnn", "ssm"])
def test_environments_are_planned_as_if_each_were_alone(transition):
    agent = make_decided_agent(transition=transition, **{"planner.candidates": 30})
    first = tf.ones([2], bool)
    noise = agent.policy_noise(2, agent.rng, "train")
    _, state = act(agent, observations(2), agent.initial_state(2), first, noise)
    obs = {
        "image": tf.stack([tf.fill([64, 64, 3], tf.constant(c, tf.uint8)) for c in (0, 255)]),
        "position": tf.constant([[-3.0] * 3, [3.0] * 3]),
    }
    noise = agent.policy_noise(2, agent.rng, "train")
    both, _ = act(agent, obs, state, ~first, noise)
    for index in range(2):
        one = tf.nest.map_structure(lambda x, i=index: x[i : i + 1], (obs, state, ~first))
        alone, _ = act(agent, *one, slice_noise(noise, agent, index))
        np.testing.assert_allclose(alone[0], both[index], atol=1e-4)
    swapped = tf.nest.map_structure(lambda x: x[::-1], (obs, state))
    crossed, _ = act(agent, *swapped, ~first, noise)
    assert np.abs(crossed - both).max() > 1e-3, "the state should matter"


def test_policy_resets_only_where_an_episode_begins():
    agent = make_decided_agent(**{"planner.candidates": 100})
    _, state = agent.policy(observations(2))
    obs, first = observations(2, seed=1), tf.constant([True, False])
    noise = agent.policy_noise(2, agent.rng, "train")
    mixed, _ = act(agent, obs, state, first, noise)
    fresh, _ = act(agent, obs, agent.initial_state(2), first, noise)
    kept, _ = act(agent, obs, state, tf.zeros(2, bool), noise)
    np.testing.assert_array_equal(mixed[0], fresh[0])
    np.testing.assert_array_equal(mixed[1], kept[1])
    assert np.abs(mixed[1] - fresh[1]).max() > 0


def test_exploration_is_only_in_train_mode():
    agent = make_agent(exploration_noise=10.0)
    obs = observations(32)
    explored, state = agent.policy(obs, mode="train")
    assert (np.abs(explored["action"]) == 1).mean() > 0.8
    np.testing.assert_array_equal(state.action, explored["action"])
    greedy = agent.policy(obs, mode="eval")[0]["action"]
    assert (np.abs(greedy) == 1).mean() < 0.2


def test_policy_takes_single_observations(agent):
    obs = {key: np.zeros(space.shape, space.dtype) for key, space in OBS_SPACE.items()}
    action, state = agent.policy(obs)
    assert action["action"].shape == (2,)
    action, _ = agent.policy(obs | {"is_first": False}, state, "eval")
    assert action["action"].dtype == np.float32 and np.all(np.abs(action["action"]) <= 1)


def test_bits_that_are_left_out_do_not_matter():
    agent = make_decided_agent(image_bits=5, **{"planner.candidates": 100})
    noise, first = agent.policy_noise(2, agent.rng, "train"), tf.ones([2], bool)
    obs = observations(2)

    def plan(image):
        seen = obs | {"image": image}
        return act(agent, seen, agent.initial_state(2), first, noise, "eval")[0]

    image = obs["image"].numpy()
    np.testing.assert_array_equal(plan(image // 8 * 8), plan(image // 8 * 8 + 7))
    assert np.abs(plan(image) - plan(image ^ 128)).max() > 0


def test_actions_may_be_several_continuous_ones():
    act_space = {
        "arm": Space(np.float32, (2,), -1, 1),
        "legs": Space(np.float32, (2, 2), -1, 1),
    }
    agent = make_agent(act_space=act_space)
    uncompiled(agent)
    actions, _ = agent.policy(observations(3))
    assert {key: action.shape for key, action in actions.items()} == {
        "arm": (3, 2),
        "legs": (3, 2, 2),
    }
    batch = make_batch()
    batch |= {key: tf.zeros([3, 7, *space.shape]) for key, space in act_space.items()}
    del batch["action"]
    metrics, _ = agent.train_step(batch, ())
    assert metrics["nonfinite"] == 0
    assert "openloop/image" in agent.report(batch)


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="continuous actions; got action: .*int32"):
        make_agent(act_space={"action": Space(np.int32, (), 0, 3)})


def test_vectors_alone_serve_as_observations():
    obs_space = {"position": OBS_SPACE["position"]}
    agent = make_agent(obs_space=obs_space)
    uncompiled(agent)
    metrics, _ = agent.train_step(make_batch(obs_space), ())
    assert metrics["nonfinite"] == 0 and "position_mse" in metrics
    assert agent.policy({"position": np.zeros(3, np.float32)})[0]["action"].shape == (2,)


# ------------------------------------------------------------------ reporting


def test_report_videos_show_the_image_that_the_model_sees(agent):
    batch = make_batch()
    report = agent.report(batch)
    video = report["openloop/image"]
    assert video.shape == (3, 7, 3 * 64, 64, 3) and video.dtype == np.uint8
    # Five bits: off by less than a level of 8.
    difference = video[:, :, :64].astype(int) - batch["image"].numpy()
    assert 1 < np.abs(difference).max() < 8
    assert report["openloop_image_mse"] > 0


def test_the_optimiser_has_the_options():
    names = ("learning_rate", "epsilon", "grad_clip", "weight_decay")
    step = make_agent(**{f"optimizer.{name}": 2.0**-4 for name in names}).model_step
    optimizer = step.optimizer
    values = [optimizer.learning_rate, optimizer.epsilon, step.clip.limit, optimizer.decay]
    assert {float(value) for value in values} == {2.0**-4}
