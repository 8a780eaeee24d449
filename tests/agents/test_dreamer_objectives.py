"""Dreamer's representation objectives: what each trains, and what a diagnostic must not."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from tests.acting import uncompiled

OBS_SPACE = {"image": Space(np.uint8, (16, 16, 3)), "position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
OBJECTIVES = ("reconstruction", "contrastive", "reward")
# Below the free nats nothing would train the prior.
OPTIONS = {"dreamer.free_nats": 0.0}


def make_agent(objective, obs_space=OBS_SPACE, **overrides):
    tf.keras.utils.set_random_seed(0)
    options = OPTIONS | {"dreamer.objective": objective} | overrides
    return agents.make(config.load(["debug"], options).config, obs_space, ACT_SPACE)


def make_batch(obs_space=OBS_SPACE, batch_size=4, length=7, seed=0):
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
            # One colour each, so that tiny networks can hold them.
            colour = rng.integers(0, 256, (*leading, 1, 1, 3), dtype=np.uint8)
            batch[key] = np.broadcast_to(colour, (*leading, *space.shape))
        else:
            batch[key] = rng.normal(size=(*leading, *space.shape)).astype(np.float32)
    return {key: tf.constant(value) for key, value in batch.items()}


def values(variables):
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize(
    "objective, terms",
    [
        ("reconstruction", {"image_loss", "position_loss"}),
        ("contrastive", {"contrastive_loss"}),
        ("reward", set()),
    ],
)
def test_the_model_minimises_the_terms_of_its_objective(objective, terms):
    agent = make_agent(objective, **{"dreamer.kl_scale": 0.5, "dreamer.contrastive.scale": 3.0})
    batch = make_batch()
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    total, _, metrics = agent.model_loss(agent.prepare(batch), noise)
    losses = {key for key in metrics if key.endswith("_loss")}
    assert losses == terms | {"reward_loss", "kl_loss"}
    scales = {"contrastive_loss": 3.0, "kl_loss": 0.5}
    expected = sum(scales.get(key, 1.0) * metrics[key] for key in losses)
    np.testing.assert_allclose(total, expected, rtol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_variable_is_learned_by_one_step(objective):
    agent = make_agent(objective)
    uncompiled(agent)
    agent.train_step(make_batch(), ())
    agent.train_step(make_batch(seed=1), ())
    steps = [agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step]
    steps += [agent.diagnostic.step] if agent.diagnostic else []
    trained = [variable for step in steps for variable in step.targets]
    names = {"encoder", "rssm", "decoder", "reward", "actor", "critic"}
    names |= {"state_model"} if objective == "contrastive" else set()
    counts = agent.parameter_counts()
    assert counts.keys() == names
    assert sum(counts.values()) == sum(int(np.prod(variable.shape)) for variable in trained)
    assert len({id(variable) for variable in trained}) == len(trained)
    # Adam's second moment is zero only where every gradient was.
    for step in steps:
        moments = [v for v in step.optimizer.variables if "velocity" in v.path]
        assert len(moments) == len(step.targets)
        for variable, moment in zip(step.targets, moments, strict=True):
            assert np.abs(moment.numpy()).max() > 0, variable.path


@pytest.mark.parametrize("objective", ["contrastive", "reward"])
def test_the_diagnostic_decoder_changes_nothing_but_itself(objective):
    # A tight clip: a decoder that shared it would leave the others less.
    options = {"dreamer.model_optimizer": {"grad_clip": 0.1, "epsilon": 1.0}}
    shown = make_agent(objective, **options)
    hidden = make_agent(objective, **options, **{"dreamer.diagnostic_decoder": False})
    uncompiled(shown, hidden)
    decoder = values(shown.diagnostic.decoder.trainable_variables)
    for seed in range(3):
        ours, _ = shown.train_step(make_batch(seed=seed), ())
        theirs, _ = hidden.train_step(make_batch(seed=seed), ())
        assert ours.keys() - theirs.keys() == {
            *("image_loss", "image_mse", "position_loss", "position_mse"),
            *("decoder_loss", "decoder_grad_norm"),
        }
        assert theirs.keys() < ours.keys()
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key], value, rtol=1e-5, atol=1e-6, err_msg=key)
    for step, other in [
        (shown.model_step, hidden.model_step),
        (shown.behavior.actor_step, hidden.behavior.actor_step),
        (shown.behavior.critic_step, hidden.behavior.critic_step),
    ]:
        for a, b in zip(values(step.targets), values(other.targets), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    after = values(shown.diagnostic.decoder.trainable_variables)
    assert all(np.any(a != b) for a, b in zip(decoder, after, strict=True))


def test_features_get_no_gradient_from_the_diagnostic():
    agent = make_agent("reward")
    batch = make_batch()
    feat = tf.random.stateless_normal([4, 7, agent.world_model.rssm.feat_size], seed=(0, 1))
    with tf.GradientTape() as tape:
        tape.watch(feat)
        loss = agent.diagnostic.update(batch, feat)["decoder_loss"]
    assert tape.gradient(loss, feat) is None


def test_the_diagnostic_decoder_learns_what_features_hold():
    agent = make_agent("reward", **{"dreamer.model_optimizer.learning_rate": 1e-2})
    batch = make_batch()
    feat = tf.tile(tf.cast(batch["image"][:, :, 0, 0], tf.float32) / 255.0, [1, 1, 10])
    feat = feat[..., : agent.world_model.rssm.feat_size]
    update = tf.function(agent.diagnostic.update)
    for _ in range(200):
        metrics = update(batch, feat)
    constant_prediction = np.var(batch["image"].numpy() / 255.0)
    assert metrics["image_mse"] < 0.5 * constant_prediction


def test_contrastive_learning_finds_information():
    agent = make_agent(
        "contrastive", **{"dreamer.model_optimizer.learning_rate": 3e-3, "dreamer.kl_scale": 0.1}
    )
    batch = make_batch()
    first, _ = agent.train_step(batch, ())
    for _ in range(150):
        last, _ = agent.train_step(batch, ())
    number = 4 * 7  # the window is larger than the batch
    assert abs(first["contrastive_information"]) < 0.5
    assert 0.5 * np.log(number) < last["contrastive_information"] <= np.log(number)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, (10, 30)),
        ({"window_sequences": 2, "window_steps": 3}, (2, 3)),
        ({"negatives": "batch"}, (None, 1)),
        ({"negatives": "time"}, (1, None)),
    ],
)
def test_negatives_that_the_options_name(options, expected):
    options = {f"dreamer.contrastive.{key}": value for key, value in options.items()}
    objective = make_agent("contrastive", **options).world_model.objective
    assert (objective.sequences, objective.steps) == expected


def test_candidates_that_the_options_name():
    batch, losses = make_batch(), []
    for candidates in ("states", "observations"):
        agent = make_agent("contrastive", **{"dreamer.contrastive.candidates": candidates})
        uncompiled(agent)
        metrics, _ = agent.train_step(batch, ())
        losses.append(float(metrics["contrastive_loss"]))
    assert losses[0] != losses[1]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_open_loop_videos_with_every_objective(objective):
    report = make_agent(objective).report(make_batch())
    assert report["openloop/image"].shape == (4, 7, 3 * 16, 16, 3)
    assert np.isfinite(report["openloop_image_mse"])


def test_no_decoder_no_report():
    agent = make_agent("contrastive", **{"dreamer.diagnostic_decoder": False})
    assert agent.report(make_batch()) == {}
    assert "decoder" not in agent.parameter_counts()
    assert (
        "decoder"
        in make_agent("reconstruction", **{"dreamer.diagnostic_decoder": False}).parameter_counts()
    )


def test_checkpoints_hold_state_model_and_diagnostic(tmp_path):
    batch = make_batch()
    agent, other = make_agent("contrastive"), make_agent("contrastive")
    agent.train_step(batch, ())
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other.train_step(make_batch(seed=1), ())
    tf.train.Checkpoint(agent=other).read(path).assert_consumed()
    ours, _ = agent.train_step(batch, ())
    theirs, _ = other.train_step(batch, ())
    assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}


@pytest.mark.parametrize("name", ["kl", "contrastive", "actor"])
def test_observations_may_not_take_the_name_of_a_loss(name):
    obs_space = {name: Space(np.float32, (3,))}
    with pytest.raises(ValueError, match=f"{name}_loss"):
        make_agent("contrastive", obs_space).train_step(make_batch(obs_space), ())


def test_contrastive_in_bfloat16_agrees_roughly_with_float32():
    batch = make_batch()
    full, mixed = make_agent("contrastive"), make_agent("contrastive", precision="mixed_bfloat16")
    ours, _ = full.train_step(batch, ())
    theirs, _ = mixed.train_step(batch, ())
    np.testing.assert_allclose(theirs["contrastive_loss"], ours["contrastive_loss"], atol=0.1)
    assert theirs["nonfinite"] == 0
