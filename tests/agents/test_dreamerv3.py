"""What DreamerV3 starts with, what an update may touch, what is remembered, and its sizes."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space, row_spaces
from dreamer_tf.world_model import get_feat
from tests.acting import uncompiled

OBS_SPACE = {
    "image": Space(np.uint8, (16, 16, 3)),
    "position": Space(np.float32, (3,)),
    "speed": Space(np.float32),
    "gear": Space(np.int32, (), 0, 4),
    "lamps": Space(bool, (2,)),
}
ACT_SPACE = {
    "steer": Space(np.float32, (2,), -1, 1),
    "shift": Space(np.int32, (), 0, 2),
    "buttons": Space(np.int32, (2,), 0, [1, 3]),
}
FAST = {"dreamerv3.optimizer.warmup": 0, "dreamerv3.optimizer.learning_rate": 1e-3}


def make_agent(obs_space=OBS_SPACE, act_space=ACT_SPACE, presets=("debug",), **overrides):
    tf.keras.utils.set_random_seed(0)
    overrides = {"agent": "dreamerv3"} | overrides
    return agents.make(config.load(list(presets), overrides).config, obs_space, act_space)


def make_batch(obs_space=OBS_SPACE, act_space=ACT_SPACE, batch_size=3, length=7, seed=0):
    rng = np.random.default_rng(seed)
    batch = {}
    for key, space in row_spaces(obs_space, act_space).items():
        shape = (batch_size, length, *space.shape)
        if space.dtype == np.float32:
            batch[key] = np.clip(rng.normal(size=shape), space.low, space.high).astype(np.float32)
        elif space.dtype == bool:
            batch[key] = rng.random(shape) < 0.5 if key == "lamps" else np.zeros(shape, bool)
        else:
            batch[key] = rng.integers(space.low, space.high, shape, space.dtype, endpoint=True)
    return {key: tf.constant(value) for key, value in batch.items()}


def test_keys_may_have_any_characters():
    number = Space(np.float32, (2,), -1, 1)
    obs_space = dict.fromkeys(
        ["left arm", "arm (m)", "état", "a:b", "a/b", "50%", "_", "", "a\nb"], number
    )
    act_space = {"left leg?": number, "_gear #2": Space(np.int32, (), 0, 2), "état 2": number}
    agent = make_agent(obs_space, act_space)
    batch = make_batch(obs_space, act_space)
    metrics, _ = update(agent, batch)
    assert np.isfinite(float(metrics["model_loss"])) and not float(metrics["nonfinite"])


def update(agent, batch, noise=None):
    """`DreamerV3.update` from the state before any step, what is left out drawn."""
    noise = noise or agent.update_noise(*batch["reward"].shape)
    return agent.update(batch, noise)


def behavior_losses(agent, tape, batch):
    """Those of actor and critic, recorded by a tape as an update does."""
    noise, start = agent.update_noise(*batch["reward"].shape), agent.initial_carry(3)
    batch = agent.prepare(batch)
    _, post, _ = agent.model_losses(batch, noise["post"], agent._from_carry(start))
    with tape.stop_recording():
        imagined = agent.imagine(post, noise)
    losses, _, _ = agent.behavior_losses(batch, post, *imagined)
    return losses


def first_carry(agent, batch):
    return agent.initial_carry(len(batch["reward"]))


def snapshot(variables):
    return [variable.numpy() for variable in variables]


def unchanged(before, variables):
    return all(np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True))


@pytest.fixture(scope="module")
def agent():
    return make_agent()


# ------------------------------------------------------------------- beginning


def test_rewards_and_values_are_predicted_as_exactly_zero_at_first():
    agent = make_agent()
    uncompiled(agent)
    feat = np.random.default_rng(0).normal(size=(4, 5, agent.world_model.rssm.feat_size))
    feat = feat.astype(np.float32)
    reward, critic = agent.world_model.heads["reward"], agent.behavior.critic
    for head in (reward, critic, agent.behavior.slow_critic.network):
        np.testing.assert_array_equal(head.dist(feat).mean(), np.zeros([4, 5]))
    metrics, _ = agent.train_step(make_batch(), first_carry(agent, make_batch()))
    for name in ("imag_reward", "imag_value", "imag_slow_value", "imag_return", "advantage"):
        assert metrics[name] == 0
    np.testing.assert_allclose(metrics["reward_loss"], np.log(agent.config.reward.bins), rtol=1e-5)


def test_the_slow_critic_begins_as_a_copy():
    behavior = make_agent().behavior
    assert unchanged(snapshot(behavior.critic.variables), behavior.slow_critic.network.variables)


SIZES = {"size1m": 1, "size12m": 12, "size25m": 25, "size50m": 50}
SIZES |= {"size100m": 100, "size200m": 200, "size400m": 400}


def parameters(size):
    obs_space = {"image": Space(np.uint8, (64, 64, 3))}
    act_space = {"action": Space(np.int32, (), 0, 16)}
    return sum(make_agent(obs_space, act_space, presets=[size]).parameter_counts().values())


def test_the_sizes_have_as_many_parameters_as_their_names_say():
    # All widths of a size grow together, so the count is a polynomial of second degree in any of
    # them: three small sizes determine those that would not fit into a test.
    widths = {size: config.load([size], {}).config.dreamerv3.rssm.hidden for size in SIZES}
    small = {size: parameters(size) for size in ("size1m", "size12m", "size25m")}
    polynomial = np.polyfit([widths[size] for size in small], list(small.values()), 2)
    for size, millions in SIZES.items():
        count = np.polyval(polynomial, widths[size])
        # The authors' smallest has three quarters of what its name says.
        tolerance = 0.3 if size == "size1m" else 0.15
        np.testing.assert_allclose(count, 1e6 * millions, rtol=tolerance, err_msg=size)


# -------------------------------------------------------------------- learning


def test_every_variable_gets_a_gradient():
    agent = make_agent(**FAST, **{"dreamerv3.free_nats": 0.0})
    networks = [*agent.world_model.networks.values(), agent.behavior.actor, agent.behavior.critic]
    assert {id(v) for v in agent.step.targets} == {
        id(v) for network in networks for v in network.trainable_variables
    }
    for seed in range(4):
        # The first critics and reward models are zero, and pass no gradient on.
        update(agent, make_batch(seed=seed))
    slots = [v for v in agent.step.optimizer.variables if "mean_square" in v.path]
    assert len(slots) == len(agent.step.targets)
    for variable, slot in zip(agent.step.targets, slots, strict=True):
        assert np.abs(slot.numpy()).max() > 0, variable.path


def test_imagination_passes_no_gradient_to_the_world_model():
    agent = make_agent(**{"dreamerv3.loss_scales.replay_value": 0.0})
    randomize(agent)
    with tf.GradientTape() as tape:
        losses = behavior_losses(agent, tape, make_batch())
        loss = tf.reduce_mean(losses["policy"]) + tf.reduce_mean(losses["value"])
    variables = agent.world_model.trainable_variables
    assert tape.gradient(loss, [v.value for v in variables]) == [None] * len(variables)


@pytest.mark.parametrize("shapes", [True, False])
def test_whether_replayed_values_shape_the_world_model_is_an_option(shapes):
    agent = make_agent(**{"dreamerv3.replay_value_gradient": shapes})
    randomize(agent)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(behavior_losses(agent, tape, make_batch())["replay_value"])
    gradient = tape.gradient(loss, agent.world_model.rssm.cell.gates.bias.value)
    assert (gradient is not None and np.abs(gradient).max() > 0) == shapes


def randomize(agent):
    """Gives the layers that begin with zeros, and pass no gradient on, other weights."""
    for head in (agent.behavior.critic, agent.world_model.heads["reward"]):
        head.out.kernel.assign(np.random.default_rng(0).normal(size=head.out.kernel.shape))


def test_training_predicts_observations_rewards_and_ends():
    """A few hundred updates on one batch must fit it: a broken gradient anywhere would not."""
    agent = make_agent(**(FAST | {"dreamerv3.optimizer.learning_rate": 3e-3}))
    batch = make_batch(batch_size=4)
    ends = np.zeros([4, 7], bool)
    ends[0, 3] = ends[2, 5] = True
    batch |= {"is_last": tf.constant(ends), "is_terminal": tf.constant(ends)}
    batch["is_first"] = tf.constant(np.roll(ends, 1, axis=1))
    colour = np.random.default_rng(0).integers(0, 256, (4, 7, 1, 1, 3), dtype=np.uint8)
    batch["image"] = tf.constant(np.broadcast_to(colour, (4, 7, 16, 16, 3)))
    carry = first_carry(agent, batch)
    first, _ = agent.train_step(batch, carry)
    for _ in range(250):
        last, _ = agent.train_step(batch, carry)
    for key in ("image_loss", "position_loss", "gear_loss", "lamps_loss", "reward_loss"):
        assert last[key] < 0.6 * first[key], key
    assert last["nonfinite"] == 0
    noise, start = agent.update_noise(4, 7), agent._from_carry(carry)
    _, post, _ = agent.model_losses(agent.prepare(batch), noise["post"], start)
    goes_on = tf.sigmoid(agent.world_model.heads["cont"](get_feat(post))).numpy()
    assert goes_on[ends].max() < 0.5 < goes_on[~ends].min()


def test_imagined_actions_are_drawn_from_the_actor_and_kept_as_they_are(agent):
    batch, noise = agent.prepare(make_batch()), agent.update_noise(3, 7)
    _, post, _ = agent.model_losses(batch, noise["post"], agent._from_carry(agent.initial_carry(3)))
    trajectory, _, _ = agent.imagine(post, noise)
    expected = agent.behavior.actor.dist(trajectory.feat).sample(noise["action"])
    np.testing.assert_allclose(trajectory.action, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(trajectory.action).max() > 1, "beyond the limits, too"


def test_nonfinite_batches_change_nothing_and_are_counted(agent):
    batch = make_batch()
    agent.train_step(batch, first_carry(agent, batch))
    scale = agent.behavior.return_scale.average
    variables = [*agent.step.targets, *agent.step.optimizer.variables, scale.sums]
    before = snapshot(variables)
    broken = batch | {"position": tf.fill(batch["position"].shape, np.float32(np.nan))}
    metrics, _ = agent.train_step(broken, first_carry(agent, batch))
    assert metrics["nonfinite"] == 1
    assert unchanged(before, variables)
    metrics, _ = agent.train_step(batch, first_carry(agent, batch))
    assert metrics["nonfinite"] == 0


def test_the_size_of_returns_stays_when_an_update_is_skipped():
    agent, batch = make_agent(), make_batch()
    uncompiled(agent)
    agent.loss_scales["reward"] = np.inf  # The returns are finite all the same.
    metrics, _ = agent.train_step(batch, first_carry(agent, batch))
    assert metrics["nonfinite"] == 1 and np.isfinite(metrics["imag_return_std"])
    assert not agent.behavior.return_scale.average.share.numpy().any()


def test_observations_may_not_take_the_name_of_a_loss():
    obs_space = {"policy": Space(np.float32, (3,))}
    with pytest.raises(ValueError, match="policy"):
        make_agent(obs_space)


def test_same_seed_same_numbers():
    first, second = make_agent(**FAST), make_agent(**FAST)
    for seed in range(3):
        batch = make_batch(seed=seed)
        ours, our_memory = first.train_step(batch, first_carry(first, batch))
        theirs, their_memory = second.train_step(batch, first_carry(first, batch))
        assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}
        tf.nest.map_structure(np.testing.assert_array_equal, our_memory, their_memory)


def test_checkpoint_holds_everything(tmp_path):
    batch = make_batch()
    agent, other = make_agent(**FAST), make_agent(**FAST)
    uncompiled(agent, other)
    for _ in range(2):
        agent.train_step(batch, first_carry(agent, batch))
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other.train_step(batch, first_carry(agent, batch))
    status = tf.train.Checkpoint(agent=other).read(path)
    status.assert_consumed()
    ours, _ = agent.train_step(batch, first_carry(agent, batch))
    theirs, _ = other.train_step(batch, first_carry(agent, batch))
    assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}


def test_one_trace_per_function_in_a_run(agent):
    batch = make_batch()
    carry = first_carry(agent, batch)
    for _ in range(3):
        _, memory = agent.train_step(batch, carry)
        carry = {key: value[:, -1] for key, value in memory.items()}
    agent.report(batch)
    obs = observation(2)
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


def test_bfloat16_agrees_roughly_with_float32():
    batch = make_batch()
    full, mixed = make_agent(), make_agent(precision="mixed_bfloat16")
    assert {v.dtype for v in mixed.step.targets} == {"float32"}
    ours, _ = full.train_step(batch, first_carry(full, batch))
    theirs, _ = mixed.train_step(batch, first_carry(full, batch))
    for name in ("image_loss", "reward_loss", "kl", "value_loss"):
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0.1, atol=0.05)
    assert theirs["image_loss"] != ours["image_loss"] and theirs["kl"] != ours["kl"]
    assert theirs["nonfinite"] == 0


# ---------------------------------------------------------------------- memory


def test_memory_has_the_form_of_its_space(agent):
    batch = make_batch()
    _, memory = agent.train_step(batch, first_carry(agent, batch))
    _, state = agent.policy(observation(2))
    initial = agent.initial_carry(2)
    context = {key: value.numpy() for key, value in state.carry.items()}
    assert memory.keys() == initial.keys() == context.keys() == agent.carry_space.keys()
    for key, space in agent.carry_space.items():
        assert memory[key].shape == (3, 7, *space.shape)
        assert not initial[key].numpy().any(), "zeros are the memory before any step"
        for array in (memory[key][0, 0], initial[key][0], context[key][0]):
            space.check(key, np.asarray(array))


def test_a_sequence_in_two_parts_is_filtered_as_in_one():
    agent = make_agent()
    batch = agent.prepare(make_batch())
    noise = agent.update_noise(3, 7)["post"]
    start = agent._from_carry(agent.initial_carry(3))
    _, whole, _ = agent.model_losses(batch, noise, start)
    parts = [{k: v[:, :4] for k, v in batch.items()}, {k: v[:, 4:] for k, v in batch.items()}]
    _, first, _ = agent.model_losses(parts[0], noise[:4], start)
    memory = {key: value[:, -1] for key, value in agent._to_carry(first).items()}
    _, second, _ = agent.model_losses(parts[1], noise[4:], agent._from_carry(memory))
    for ours, expected in [(first, whole.deter[:, :4]), (second, whole.deter[:, 4:])]:
        np.testing.assert_allclose(ours.deter, expected, rtol=1e-4, atol=1e-5)


def test_an_episode_that_begins_forgets_what_was_before():
    agent = make_agent()
    batch = agent.prepare(make_batch())
    batch["is_first"] = tf.constant(np.arange(7)[None].repeat(3, 0) == 0)
    noise = agent.update_noise(3, 7)["post"]
    nothing = agent._from_carry(agent.initial_carry(3))
    something = nothing._replace(deter=tf.ones_like(nothing.deter))
    states = [agent.model_losses(batch, noise, s)[1].deter for s in (nothing, something)]
    np.testing.assert_array_equal(*states)


# ---------------------------------------------------------------------- acting


def observation(count):
    batch = make_batch(batch_size=count, length=1)
    return {key: batch[key][:, 0].numpy() for key in OBS_SPACE}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_actions_are_in_their_spaces(agent, mode):
    actions, state = agent.policy(observation(200), None, mode)
    for key, space in ACT_SPACE.items():
        assert actions[key].shape == (200, *space.shape)
        for action in actions[key]:
            space.check(key, action)
    if mode == "train":
        assert set(actions["shift"]) == {0, 1, 2}
        assert np.abs(actions["steer"]).max() == 1, "samples beyond the limits are cut"
        assert np.abs(state[1]).max() > 1, "and remembered as they were drawn"


def test_a_single_observation_gives_a_single_action(agent):
    obs = {key: value[0] for key, value in observation(1).items()}
    actions, _ = agent.policy(obs)
    assert {key: action.shape for key, action in actions.items()} == {
        key: space.shape for key, space in ACT_SPACE.items()
    }


def test_keys_can_be_left_out_of_encoder_and_decoder():
    options = {"dreamerv3.encoder.keys": "position|speed", "dreamerv3.decoder.keys": "image"}
    agent, batch = make_agent(**options), make_batch()
    uncompiled(agent)
    metrics, _ = agent.train_step(batch, first_carry(agent, batch))
    assert "image_loss" in metrics and "position_loss" not in metrics
    changed = batch | {"image": tf.zeros_like(batch["image"])}
    embeds = [
        agent.world_model.encoder(agent.world_model.encoder.inputs(x)) for x in (batch, changed)
    ]
    np.testing.assert_array_equal(*embeds)
    with pytest.raises(ValueError, match="encoder serves no observation"):
        make_agent(**{"dreamerv3.encoder.keys": "none"})


# ------------------------------------------------------------------- reporting


def test_report_shows_truth_model_and_difference(agent):
    batch = make_batch()
    report = agent.report(batch)
    video = report["openloop/image"]
    assert video.shape == (3, 7, 3 * 16, 16, 3) and video.dtype == np.uint8
    np.testing.assert_array_equal(video[:, :, :16], batch["image"].numpy())
    assert all(report[f"openloop_{key}_mse"] > 0 for key in OBS_SPACE)


def test_options_of_single_parts_arrive_there():
    options = {"dreamerv3.decoder.number_loss": "huber", "dreamerv3.optimizer.nesterov": True}
    agent, batch = make_agent(**options), make_batch()
    assert agent.step.optimizer.nesterov and not make_agent().step.optimizer.nesterov
    metrics, _ = agent.train_step(batch, first_carry(agent, batch))
    assert {"position_huber", "image_mse"} <= metrics.keys() and "position_mse" not in metrics


def test_weight_decay_shrinks_kernels_and_nothing_else():
    agent = make_agent(**FAST, **{"dreamerv3.optimizer.weight_decay": 100.0 / 1024})
    variables = agent.step.targets
    before = [variable.numpy() for variable in variables]
    # Without a gradient nothing else moves a weight.
    agent.step.optimizer.apply([tf.zeros_like(v) for v in before], variables)
    for value, variable in zip(before, variables, strict=True):
        factor = 1 - 1e-3 * 100 / 1024 if variable.name.startswith("kernel") else 1.0
        np.testing.assert_allclose(
            variable.numpy(), value * factor, rtol=1e-6, err_msg=variable.path
        )
    assert {variable.name.partition("_")[0] for variable in variables} > {"kernel"}
