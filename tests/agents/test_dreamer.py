"""What an update may touch, what acting must respect, and how often graphs are traced."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from tests.acting import act, uncompiled

OBS_SPACE = {"image": Space(np.uint8, (64, 64, 3)), "position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}


def make_agent(obs_space=OBS_SPACE, act_space=ACT_SPACE, **overrides):
    tf.keras.utils.set_random_seed(0)
    return agents.make(config.load(["debug"], overrides).config, obs_space, act_space)


def make_batch(obs_space=OBS_SPACE, batch_size=3, length=7, seed=0):
    rng = np.random.default_rng(seed)
    leading = (batch_size, length)
    batch = {
        "reward": rng.uniform(0, 1, leading).astype(np.float32),
        "action": rng.uniform(-1, 1, (*leading, 2)).astype(np.float32),
        "is_first": np.zeros(leading, bool),
        "is_last": np.zeros(leading, bool),
        "is_terminal": np.zeros(leading, bool),
    }
    for key, space in obs_space.items():
        if space.is_image:
            batch[key] = rng.integers(0, 256, (*leading, *space.shape), dtype=np.uint8)
        else:
            batch[key] = rng.normal(size=(*leading, *space.shape)).astype(np.float32)
    return {key: tf.constant(value) for key, value in batch.items()}


@pytest.fixture(scope="module")
def agent():
    return make_agent()


def snapshot(variables):
    return [variable.numpy() for variable in variables]


def unchanged(before, variables):
    return all(np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True))


def test_actor_and_critic_leave_the_world_model_bit_identical():
    agent = make_agent()
    uncompiled(agent)
    agent.model_step.optimizer.learning_rate = 0.0
    model = snapshot(agent.world_model.trainable_variables)
    actor, critic = (
        snapshot(agent.behavior.actor.trainable_variables),
        snapshot(agent.behavior.critic.trainable_variables),
    )
    agent.train_step(make_batch(), ())
    assert unchanged(model, agent.world_model.trainable_variables)
    assert not unchanged(actor, agent.behavior.actor.trainable_variables)
    assert not unchanged(critic, agent.behavior.critic.trainable_variables)


def test_layers_and_their_activations_are_as_the_options_say():
    options = {"dense_activation": "tanh", "image_activation": "silu", "actor": {"layers": 0}}
    agent = make_agent(dreamer=options | {"decoder": {"vector_layers": 2}})
    model, behavior = agent.world_model, agent.behavior
    decoder = model.objective.decoder
    dense = [model.heads["reward"], behavior.critic, model.encoder.mlp, decoder.mlp]
    for networks, name in ((dense, "tanh"), ([model.encoder.cnn, decoder.cnn], "silu")):
        used = {act.activation.__name__ for network in networks for act in network.acts}
        assert used == {name}
    assert not behavior.actor.hidden and behavior.actor.out.kernel.shape[0] == model.rssm.feat_size
    uncompiled(agent)
    assert np.isfinite(agent.train_step(make_batch(), ())[0]["actor_loss"])


@pytest.mark.parametrize("trained", ["model", "actor", "critic"])
def test_each_learning_rate_moves_only_its_own_networks(trained):
    agent = make_agent()
    uncompiled(agent)
    for step in (agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step):
        step.optimizer.learning_rate = 1e-3 if step.name == trained else 0.0
    parts = {
        "model": agent.world_model.trainable_variables,
        "actor": agent.behavior.actor.trainable_variables,
        "critic": agent.behavior.critic.trainable_variables,
    }
    before = {name: snapshot(variables) for name, variables in parts.items()}
    agent.train_step(make_batch(), ())
    for name, variables in parts.items():
        assert unchanged(before[name], variables) == (name != trained)


@pytest.mark.parametrize("discount_model", [False, True])
def test_every_variable_gets_a_gradient(discount_model):
    # Below the free nats nothing would train the prior.
    options = {"dreamer.discount_model": discount_model, "dreamer.free_nats": 0.0}
    agent = make_agent(**options)
    uncompiled(agent)
    steps = [agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step]
    trained = {id(v) for step in steps for v in step.targets}
    networks = [*agent.world_model.networks.values(), agent.behavior.actor, agent.behavior.critic]
    assert trained == {id(v) for network in networks for v in network.trainable_variables}
    for seed in range(3):
        agent.train_step(make_batch(seed=seed), ())
    # Adam's second moment is zero only where every gradient was.
    for step in steps:
        moments = [v for v in step.optimizer.variables if "velocity" in v.path]
        assert len(moments) == len(step.targets)
        for variable, moment in zip(step.targets, moments, strict=True):
            assert np.abs(moment.numpy()).max() > 0, variable.path


def test_the_actor_learns_through_the_dynamics(agent):
    batch = make_batch()
    noise = agent.update_noise(*batch["reward"].shape)
    _, post, _ = agent.model_loss(batch, noise["post"])
    start = agent.start_states(post)
    with tf.GradientTape(persistent=True) as tape:
        feat = agent.behavior.imagine(agent.world_model.rssm, start, noise)
        last_reward = tf.reduce_sum(agent.world_model.heads["reward"](feat[-1]))
        start_value = tf.reduce_sum(start.deter)
    assert np.abs(tape.gradient(last_reward, agent.behavior.actor.out.kernel.value)).max() > 0
    assert tape.gradient(start_value, agent.behavior.actor.out.kernel.value) is None


def test_one_trace_per_function_in_a_run(agent):
    batch = make_batch()
    for _ in range(3):
        agent.train_step(batch, ())
    agent.report(batch)
    agent.report(make_batch(seed=1))
    obs = {key: np.zeros((2, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    for mode in ("train", "eval"):
        state = None
        for _ in range(3):
            _, state = agent.policy(obs, state, mode)
    functions = (
        agent._train,
        *agent._policies.values(),
        agent._open_loop.predict,
    )
    assert [function.experimental_get_tracing_count() for function in functions] == [1] * 4


def test_nonfinite_batches_change_nothing_and_are_counted(agent):
    batch = make_batch()
    agent.train_step(batch, ())
    steps = [agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step]
    variables = [v for step in steps for v in [*step.targets, *step.optimizer.variables]]
    before = snapshot(variables)
    batch["position"] = tf.fill(batch["position"].shape, np.float32(np.nan))
    metrics, _ = agent.train_step(batch, ())
    assert metrics["nonfinite"] == 1
    assert unchanged(before, variables)
    metrics, _ = agent.train_step(make_batch(), ())
    assert metrics["nonfinite"] == 0


def test_policy_resets_only_where_an_episode_begins(agent):
    batch = make_batch(batch_size=2, length=3)
    obs = [{key: batch[key][:, t].numpy() for key in OBS_SPACE} for t in range(3)]
    _, state = agent.policy(obs[0], None)
    _, state = agent.policy(obs[1], state)
    first = np.array([True, False])
    noise = {
        "post": tf.zeros([2, agent.world_model.rssm.latent.size]),
        "action": tf.zeros([2, 2]),
        "explore": tf.zeros([2, 2]),
    }
    mixed, _ = act(agent, obs[2], state, tf.constant(first), noise)
    fresh, _ = act(agent, obs[2], agent.initial_state(2), tf.constant(first), noise)
    kept, _ = act(agent, obs[2], state, tf.zeros(2, bool), noise)
    np.testing.assert_array_equal(mixed[0], fresh[0])
    np.testing.assert_array_equal(mixed[1], kept[1])
    assert np.abs(mixed[1] - fresh[1]).max() > 0


def test_policy_takes_single_observations_and_batches(agent):
    obs = {key: np.zeros(space.shape, space.dtype) for key, space in OBS_SPACE.items()}
    action, state = agent.policy(obs)
    assert action["action"].shape == (2,)
    action, _ = agent.policy(obs | {"is_first": False}, state, "eval")
    assert np.all(np.abs(action["action"]) <= 1)
    batched = {key: np.stack([value] * 3) for key, value in obs.items()}
    assert agent.policy(batched)[0]["action"].shape == (3, 2)


def test_policy_names_what_is_wrong(agent):
    obs = {key: np.zeros(space.shape, space.dtype) for key, space in OBS_SPACE.items()}
    with pytest.raises(KeyError, match="'position' is missing"):
        agent.policy({"image": obs["image"]})
    with pytest.raises(ValueError, match="'image'.*32, 32"):
        agent.policy(obs | {"image": np.zeros((32, 32, 3), np.uint8)})
    with pytest.raises(ValueError, match="train, eval"):
        agent.policy(obs, mode="evaluation")
    batched = {key: np.stack([value] * 3) for key, value in obs.items()}
    with pytest.raises(ValueError, match="state of 3 environments, got 1"):
        agent.policy(batched, agent.policy(obs)[1])


def test_exploration_is_only_in_train_mode():
    agent = make_agent(**{"dreamer.exploration_noise": 10.0, "dreamer.actor.init_std": 0.01})
    obs = {key: np.zeros((64, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    explored = agent.policy(obs, mode="train")[0]["action"]
    greedy = agent.policy(obs, mode="eval")[0]["action"]
    assert (np.abs(explored) == 1).mean() > 0.8
    assert np.abs(greedy).max() < 1


def test_same_seed_same_numbers():
    first, second = make_agent(), make_agent()
    for seed in range(3):
        ours, _ = first.train_step(make_batch(seed=seed), ())
        theirs, _ = second.train_step(make_batch(seed=seed), ())
        assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}
    assert unchanged(snapshot(first.behavior.actor.variables), second.behavior.actor.variables)


def test_checkpoint_holds_everything(tmp_path):
    batch = make_batch()
    agent, other = make_agent(), make_agent()
    uncompiled(agent, other)
    for _ in range(2):
        agent.train_step(batch, ())
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other.train_step(batch, ())
    status = tf.train.Checkpoint(agent=other).read(path)
    status.assert_consumed()
    ours, _ = agent.train_step(batch, ())
    theirs, _ = other.train_step(batch, ())
    assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}


def test_report_videos_show_truth_model_and_difference(agent):
    batch = make_batch()
    report = agent.report(batch)
    video = report["openloop/image"]
    assert video.shape == (3, 7, 3 * 64, 64, 3) and video.dtype == np.uint8
    truth = batch["image"].numpy()
    np.testing.assert_array_equal(video[:, :, :64], truth)
    model, difference = video[:, :, 64:128].astype(float), video[:, :, 128:].astype(float)
    np.testing.assert_allclose(difference, np.clip((model - truth) / 2 + 127.5, 0, 255), atol=2)
    assert report["openloop_image_mse"] > 0 and report["openloop_position_mse"] > 0


def test_another_episode_is_not_counted_as_foreseen(agent):
    batch = make_batch() | {"is_first": tf.constant([[False] * 6 + [True]] * 3)}
    position = batch["position"].numpy()
    position[:, 6] += 100
    moved = batch | {"position": tf.constant(position)}
    state = agent.rng.state.numpy()
    reports = []
    for rows in (batch, moved):
        agent.rng.state.assign(state)
        reports.append(agent.report(rows)["openloop_position_mse"])
    assert reports[0] == reports[1] < 100


def test_training_predicts_rewards_and_images():
    """A few hundred updates on one batch must fit it: a broken gradient anywhere would not."""
    agent = make_agent(**{"dreamer.model_optimizer.learning_rate": 3e-3, "dreamer.free_nats": 0.0})
    batch = make_batch(batch_size=4, length=7)
    # Few colours, so that the tiny networks can hold them.
    colour = np.random.default_rng(0).integers(0, 256, (4, 7, 1, 1, 3), dtype=np.uint8)
    batch["image"] = tf.constant(np.broadcast_to(colour, (4, 7, 64, 64, 3)))
    first, _ = agent.train_step(batch, ())
    for _ in range(200):
        last, _ = agent.train_step(batch, ())
    assert last["image_mse"] < 0.6 * first["image_mse"]
    assert last["reward_loss"] < first["reward_loss"]


@pytest.mark.parametrize("per", ["batch", "step"])
def test_free_nats_bound_the_batch_or_each_step(per):
    obs_space = {"position": OBS_SPACE["position"]}
    batch = make_batch(obs_space)

    def divergence(free_nats):
        options = {"dreamer.free_nats": free_nats, "dreamer.free_nats_per": per}
        agent = make_agent(obs_space, **options)
        noise = agent.update_noise(*batch["reward"].shape)["post"]
        _, post, prior = agent.world_model.observe(batch, noise)
        kl = agent.world_model.rssm.latent.kl(post.stats, prior).numpy()
        return kl, agent.model_loss(batch, noise)[2]

    kl, _ = divergence(3.0)
    bound = float(np.quantile(kl, 0.9))
    assert kl.min() < kl.mean() < bound < kl.max(), "the bound should lie between"
    _, metrics = divergence(bound)
    expected = bound if per == "batch" else np.maximum(kl, bound).mean()
    np.testing.assert_allclose(metrics["kl_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], kl.mean(), rtol=1e-5)


def test_bfloat16_agrees_roughly_with_float32():
    batch = make_batch()
    full, mixed = make_agent(), make_agent(precision="mixed_bfloat16")
    assert {v.dtype for v in mixed.world_model.trainable_variables} == {"float32"}
    ours, _ = full.train_step(batch, ())
    theirs, _ = mixed.train_step(batch, ())
    for name in ("model_loss", "actor_loss", "critic_loss"):
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0.1, atol=0.05)
        assert theirs[name] != ours[name]
    assert theirs["nonfinite"] == 0


@pytest.mark.parametrize("eval_mode", ["tanh_mean", "best_of_samples"])
def test_mode_actions(eval_mode):
    agent = make_agent(**{"dreamer.actor.eval_mode": eval_mode})
    # The best of samples is found by drawing some; the mean needs none.
    draws = agent.acting.draws(agent.rng, 2, "eval")
    assert len(draws) == (100 if eval_mode == "best_of_samples" else 0)
    obs = {key: np.zeros((2, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    action = agent.policy(obs, mode="eval")[0]["action"]
    assert action.shape == (2, 2) and np.all(np.abs(action) <= 1)


def test_the_one_action_may_have_any_name():
    space, batch = {"arm": Space(np.float32, (2,), -1, 1)}, make_batch()
    agent = make_agent(act_space=space)
    agent.train_step(batch | {"arm": batch.pop("action")}, ())
    obs = {key: np.zeros((2, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    assert agent.policy(obs)[0].keys() == {"arm"}


@pytest.mark.parametrize(
    "act_space",
    [
        {"action": Space(np.int32, (2,), 0, 3)},
        {"action": Space(np.float32, (2,), -1, 1), "jump": Space(np.int32, (), 0, 1)},
    ],
)
def test_unfit_actions_are_refused(act_space):
    with pytest.raises(ValueError, match="Dreamer chooses one action.*got action"):
        make_agent(act_space=act_space)


@pytest.mark.parametrize(
    "space, message",
    [
        (Space(np.uint8, (48, 48, 3)), "48×48"),
        (Space(np.int32, (3,)), "expected uint8"),
    ],
)
def test_unfit_observations_are_refused(space, message):
    with pytest.raises(ValueError, match=message):
        make_agent(obs_space={"thing": space})


def test_observations_may_not_take_the_name_of_a_loss():
    obs_space = {"kl": Space(np.float32, (3,))}
    with pytest.raises(ValueError, match="'kl'"):
        make_agent(obs_space=obs_space).train_step(make_batch(obs_space), ())


def test_image_sizes_that_are_served():
    for size in (16, 32, 64):
        obs_space = {"image": Space(np.uint8, (size, size, 1))}
        agent = make_agent(obs_space=obs_space)
        metrics, _ = agent.train_step(make_batch(obs_space), ())
        assert np.isfinite(metrics["model_loss"])


def test_random_agent_covers_its_spaces():
    act_space = {"turn": Space(np.int32, (), 0, 2), "push": Space(np.float32, (2,), -1, 1)}
    cfg = dataclasses.replace(config.load(["debug"], {}).config, agent="random")
    agent = agents.make(cfg, OBS_SPACE, act_space)
    obs = {key: np.zeros((500, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    actions, _ = agent.policy(obs)
    assert set(np.unique(actions["turn"])) == {0, 1, 2} and actions["turn"].dtype == np.int32
    assert actions["push"].min() < -0.9 and actions["push"].max() > 0.9
    with pytest.raises(TypeError, match="does not learn"):
        agent.train_step(make_batch(), ())


def test_each_optimiser_has_options_of_its_own():
    names = ("model_optimizer", "actor_optimizer", "critic_optimizer")
    own = {
        f"dreamer.{name}.{option}": 2.0 ** -(place + 4)
        for place, name in enumerate(names)
        for option in ("learning_rate", "epsilon", "grad_clip", "weight_decay")
    }
    agent = make_agent(**own)
    for place, step in enumerate([agent.model_step, agent.actor_step, agent.critic_step]):
        optimizer = step.optimizer
        values = [optimizer.learning_rate, optimizer.epsilon, step.clip.limit, optimizer.decay]
        assert {float(value) for value in values} == {2.0 ** -(place + 4)}, step.name
