"""DreamerV2: what acting must respect, options, checkpoints, traces."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.specs import Space
from tests.acting import act, uncompiled
from tests.agents.small_dreamerv2 import (
    BOX,
    CATEGORY,
    OBS_SPACE,
    SPACES,
    make_agent,
    make_batch,
    snapshot,
    steps,
    unchanged,
)


def test_the_memory_after_a_batch_continues_it():
    agent = make_agent(carry_state=True)
    batch = agent.prepare(make_batch(length=6))
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    initial = agent.initial_carry(3)
    _, whole, _ = agent.model_loss(batch, noise, initial)
    halves = [{key: value[:, part] for key, value in batch.items()} for part in SPLIT]
    _, first, _ = agent.model_loss(halves[0], noise[:3], initial)
    carry = {"deter": first.deter[:, -1], "stoch": first.stoch[:, -1]}
    _, second, _ = agent.model_loss(halves[1], noise[3:], carry)
    np.testing.assert_allclose(second.deter, whole.deter[:, 3:], rtol=1e-5, atol=1e-6)
    _, forgetful, _ = agent.model_loss(halves[1], noise[3:], initial)
    assert np.abs(forgetful.deter - whole.deter[:, 3:]).max() > 1e-3


SPLIT = (slice(0, 3), slice(3, 6))


def test_an_update_begins_with_its_carry_and_returns_the_memory_after_each_row():
    agent = make_agent(carry_state=True)
    batch, carry = make_batch(), agent.initial_carry(3)
    noise = agent.update_noise(*batch["reward"].shape)
    later = {key: value + 1.0 for key, value in carry.items()}
    (_, forgetful, _), (_, expected, _) = (
        agent.model_loss(agent.prepare(batch), noise["post"], start) for start in (carry, later)
    )
    _, memory = agent.update(batch, noise, later)
    assert memory.keys() == carry.keys()
    for key, value in carry.items():
        assert memory[key].shape == (3, 6, *value.shape[1:])
        np.testing.assert_array_equal(memory[key], getattr(expected, key))
    assert np.abs(memory["deter"] - forgetful.deter).max() > 1e-3
    agent.train_step(batch, carry)
    last = {key: value[:, -1] for key, value in memory.items()}
    agent.train_step(batch, last)
    assert agent._train.experimental_get_tracing_count() == 1


def test_an_episode_that_begins_forgets_the_memory():
    agent = make_agent(carry_state=True)
    batch = make_batch()
    batch["is_first"] = tf.constant([[True] + [False] * 5] * 3)
    batch = agent.prepare(batch)
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    carry = {key: value + 1.0 for key, value in agent.initial_carry(3).items()}
    _, with_memory, _ = agent.model_loss(batch, noise, carry)
    _, without, _ = agent.model_loss(batch, noise)
    np.testing.assert_array_equal(with_memory.deter, without.deter)


def test_nothing_is_carried_by_default():
    agent = make_agent()
    assert agent.initial_carry(3) == ()
    batch = make_batch()
    assert agent.update(batch, agent.update_noise(*batch["reward"].shape))[1] == ()


# ------------------------------------------------------------- acting


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_actions_are_elements_of_their_space(act_space, mode):
    agent = make_agent(act_space=act_space)
    obs, state = {"position": np.zeros((5, 3), np.float32)}, None
    for _ in range(3):
        actions, state = agent.policy(obs, state, mode)
        for action in actions["action"]:
            act_space["action"].check("action", action)


def test_policy_resets_only_where_an_episode_begins():
    agent = make_agent()
    batch = make_batch(batch_size=2, length=3)
    obs = [{"position": batch["position"][:, t].numpy()} for t in range(3)]
    _, state = agent.policy(obs[0], None)
    _, state = agent.policy(obs[1], state)
    noise = {key: tf.fill([2, 2], 0.5) for key in ("action", "explore")}
    noise["post"] = tf.fill([2, 3], 0.5)
    first = tf.constant([True, False])
    mixed, _ = act(agent, obs[2], state, first, noise)
    fresh, _ = act(agent, obs[2], agent.initial_state(2), first, noise)
    kept, _ = act(agent, obs[2], state, tf.zeros(2, bool), noise)
    np.testing.assert_array_equal(mixed[0], fresh[0])
    np.testing.assert_array_equal(mixed[1], kept[1])
    assert np.abs(mixed[1] - fresh[1]).max() > 0


def test_evaluation_with_the_mode_of_the_state_repeats_itself():
    obs = {"position": np.ones((4, 3), np.float32)}
    for eval_state, repeats in [("mode", True), ("sample", False)]:
        agent = make_agent(eval_state=eval_state)
        actions = [agent.policy(obs, mode="eval")[0]["action"] for _ in range(2)]
        assert np.array_equal(*actions) == repeats


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
def test_exploration_is_only_in_train_mode(act_space):
    obs = {"position": np.zeros((300, 3), np.float32)}
    spread = {}
    for noise in (0.0, 1.0):
        agent = make_agent(act_space=act_space, exploration_noise=noise)
        bias = agent.behavior.actor.out.bias
        bias.assign([3.0, *[-9.0] * (bias.shape[0] - 1)])  # nearly always the same action
        for mode in ("train", "eval"):
            actions = agent.policy(obs, mode=mode)[0]["action"]
            spread[noise, mode] = np.std(actions, axis=0).max()
    assert spread[1.0, "train"] > 2 * spread[0.0, "train"] + 0.2
    assert spread[1.0, "eval"] < 0.1 and spread[0.0, "eval"] < 0.1


# ------------------------------------------------------------- options


@pytest.mark.parametrize("per", ["batch", "step"])
def test_free_nats_bound_the_batch_or_each_step(per):
    agent = make_agent(free_nats=0.05, free_nats_per=per)
    batch = agent.prepare(make_batch())
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    _, post, prior = agent.world_model.observe(batch, noise)
    kl = agent.world_model.rssm.latent.kl(post.stats, prior).numpy()
    assert kl.min() < 0.05 < kl.max(), "the bound should lie between"
    _, _, metrics = agent.model_loss(batch, noise)
    expected = max(kl.mean(), 0.05) if per == "batch" else np.maximum(kl, 0.05).mean()
    np.testing.assert_allclose(metrics["kl_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], kl.mean(), rtol=1e-5)


def test_keys_are_chosen_by_regular_expressions():
    options = {"encoder.image_keys": "front|top", "decoder.vector_keys": "$^"}
    spaces = {
        "front": Space(np.uint8, (64, 64, 3)),
        "top": Space(np.uint8, (64, 64, 1)),
        "topmost": Space(np.uint8, (64, 64, 1)),
        "speed": Space(np.float32, (2,)),
    }
    agent = make_agent(spaces, **options)
    uncompiled(agent)
    encoder, decoder = agent.world_model.encoder, agent.world_model.objective.decoder
    assert (encoder.images, encoder.plan.vectors) == (["front", "top"], ["speed"])
    # Predicted without being seen: information for training only.
    assert (decoder.images, decoder.plan.vectors) == (["front", "top", "topmost"], [])
    metrics, _ = agent.train_step(make_batch(spaces), ())
    assert {"front_loss", "top_loss", "topmost_loss"} <= metrics.keys()
    assert "speed_loss" not in metrics
    assert metrics["nonfinite"] == 0
    with pytest.raises(ValueError, match="the encoder serves no observation.*'camera'"):
        make_agent(spaces, **{"encoder.image_keys": "camera", "encoder.vector_keys": "$^"})


@pytest.mark.parametrize("clip, expected", [("none", 3.0), ("sign", 1.0), ("tanh", np.tanh(3.0))])
def test_rewards_are_transformed_before_they_are_learned(clip, expected):
    agent = make_agent(clip_rewards=clip)
    batch = make_batch()
    batch["reward"] = tf.fill(batch["reward"].shape, 3.0)
    np.testing.assert_allclose(agent.prepare(batch)["reward"], expected, rtol=1e-6)


def test_schedules_follow_the_updates():
    agent = make_agent(actor_gradient="both", actor_gradient_mix="linear(0,1,10)")
    uncompiled(agent)
    mixes = [float(agent.train_step(make_batch(), ())[0]["actor_gradient_mix"]) for _ in range(3)]
    np.testing.assert_allclose(mixes, [0.0, 0.1, 0.2], atol=1e-6)


def test_a_terminal_start_state_has_no_future():
    agent = make_agent(discount_model=True)
    feat = tf.zeros([5, 6, agent.world_model.rssm.feat_size])
    is_terminal = tf.constant([[False, False, True], [False, True, False]])
    discount = agent.imagined_discount(is_terminal)(feat)
    gamma = agent.config.discount
    np.testing.assert_allclose(discount[0], [gamma, gamma, 0, gamma, 0, gamma], rtol=1e-6)
    assert np.all((discount[1:] > 0) & (discount[1:] < 1))


@pytest.mark.parametrize(
    "overrides",
    [{"rssm.latent": "gaussian", "kl_balance": 0.5}, {"norm": "layer", "activation": "silu"}],
    ids=str,
)
def test_variants_learn(overrides):
    agent = make_agent(free_nats=0.0, **{"model_optimizer.learning_rate": 3e-3}, **overrides)
    batch = make_batch()
    first, _ = agent.train_step(batch, ())
    for _ in range(60):
        last, _ = agent.train_step(batch, ())
    assert last["position_mse"] < 0.7 * first["position_mse"]
    assert last["reward_loss"] < first["reward_loss"]


def test_several_actions_at_once_are_refused():
    with pytest.raises(ValueError, match="DreamerV2 chooses one action"):
        make_agent(act_space={"move": BOX["action"], "fire": CATEGORY["action"]})


# ------------------------------------------------------------- runs


def test_one_trace_per_function_in_a_run():
    agent = make_agent(OBS_SPACE)
    for seed in range(3):
        agent.train_step(make_batch(OBS_SPACE, seed=seed), ())
    report = agent.report(make_batch(OBS_SPACE))
    agent.report(make_batch(OBS_SPACE, seed=1))
    assert report["openloop/image"].shape == (3, 6, 3 * 64, 64, 3)
    obs = {key: np.zeros((2, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    for mode in ("train", "eval"):
        state = None
        for _ in range(3):
            _, state = agent.policy(obs, state, mode)
    functions = [
        agent._train,
        *agent._policies.values(),
        agent._open_loop.predict,
    ]
    assert [f.experimental_get_tracing_count() for f in functions] == [1, 1, 1, 1]


def test_nonfinite_batches_change_no_weight_and_are_counted():
    agent = make_agent()
    uncompiled(agent)
    agent.train_step(make_batch(), ())
    variables = [v for step in steps(agent) for v in [*step.targets, *step.optimizer.variables]]
    before = snapshot(variables)
    batch = make_batch()
    batch["position"] = tf.fill(batch["position"].shape, np.float32(np.nan))
    metrics, _ = agent.train_step(batch, ())
    assert metrics["nonfinite"] == 1
    assert unchanged(before, variables)
    metrics, _ = agent.train_step(make_batch(), ())
    assert metrics["nonfinite"] == 0


def test_checkpoint_holds_everything(tmp_path):
    options = {"reward_norm.momentum": 0.5, "slow_every": 2, "entropy_scale": "linear(0,1,9)"}
    batch = make_batch()
    agent, other = make_agent(**options), make_agent(**options)
    uncompiled(agent, other)
    for _ in range(3):
        agent.train_step(batch, ())
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other.train_step(batch, ())
    tf.train.Checkpoint(agent=other).read(path).assert_consumed()
    for _ in range(2):
        ours, _ = agent.train_step(batch, ())
        theirs, _ = other.train_step(batch, ())
        assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}


def test_bfloat16_agrees_roughly_with_float32():
    full, mixed = make_agent(), make_agent(precision="mixed_bfloat16")
    assert {v.dtype for v in mixed.world_model.trainable_variables} == {"float32"}
    assert mixed.world_model.rssm.initial_state(1).deter.dtype == tf.float32
    ours, _ = full.train_step(make_batch(), ())
    theirs, _ = mixed.train_step(make_batch(), ())
    for name in ("model_loss", "critic_loss"):
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0.1, atol=0.05)
        assert theirs[name] != ours[name]
    assert theirs["nonfinite"] == 0


def test_parameters_are_counted_by_network():
    counts = make_agent(OBS_SPACE, discount_model=True).parameter_counts()
    assert set(counts) == {"encoder", "rssm", "decoder", "reward", "cont", "actor", "critic"}
    assert all(count > 0 for count in counts.values())


def test_each_optimiser_has_options_of_its_own():
    names = ("model_optimizer", "actor_optimizer", "critic_optimizer", "explore.optimizer")
    own = {
        f"{name}.{option}": scale * (place + 1)
        for place, name in enumerate(names)
        for option, scale in (
            ("learning_rate", 2.0**-10),
            ("epsilon", 2.0**-20),
            ("grad_clip", 1.0),
            ("weight_decay", 2.0**-9),
        )
    }
    agent = make_agent(**own, **{"explore.behavior": "plan2explore"})
    for place, step in enumerate([*steps(agent), agent.exploration.ensemble_step]):
        optimizer = step.optimizer
        assert float(optimizer.learning_rate) == 2.0**-10 * (place + 1), step.name
        assert optimizer.epsilon == 2.0**-20 * (place + 1), step.name
        assert step.clip.limit == place + 1, step.name
        assert optimizer.decay == 2.0**-9 * (place + 1), step.name


# ------------------------------------------------------------- accounting


def test_a_loss_without_a_scale_is_refused():
    agent = make_agent()
    del agent.loss_scales["reward"]
    with pytest.raises(ValueError, match="losses .*'reward'.* do not match scales"):
        agent.train_step(make_batch(), ())


@pytest.mark.parametrize("name", ["kl", "actor", "model"])
def test_observations_may_not_take_the_name_of_a_loss(name):
    spaces = {name: Space(np.float32, (3,)), "position": Space(np.float32, (3,))}
    with pytest.raises(ValueError, match=name):
        agent = make_agent(spaces)
        agent.train_step(make_batch(spaces), ())


def test_losses_are_told_in_the_order_of_the_scales():
    spaces = {f"sensor_{letter}": Space(np.float32, (2,)) for letter in "fbdace"}
    agent, batch = make_agent(spaces), make_batch(spaces)
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    _, _, metrics = agent.model_loss(agent.prepare(batch), noise)
    told = [name for name in metrics if name.endswith("_loss")]
    assert told == [f"{name}_loss" for name in agent.loss_scales]


def test_the_size_of_rewards_stays_when_an_update_is_skipped():
    agent = make_agent(**{"reward_norm.momentum": 0.5, "entropy_scale": "1e39"})
    metrics, _ = agent.train_step(make_batch(), ())
    assert metrics["nonfinite"] == 1 and agent.behavior.reward_scale.magnitude == 1.0
    agent = make_agent(**{"reward_norm.momentum": 0.5})
    agent.train_step(make_batch(), ())
    assert agent.behavior.reward_scale.magnitude != 1.0
