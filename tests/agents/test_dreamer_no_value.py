"""The ablation without value model: the actor climbs the plain sum of imagined rewards."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from tests.acting import uncompiled

OBS_SPACE = {"position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
HORIZON = 4


def make_agent(discount_model=False):
    tf.keras.utils.set_random_seed(0)
    options = {
        "dreamer.value_model": False,
        "dreamer.discount_model": discount_model,
        "dreamer.imag_horizon": HORIZON,
        "dreamer.discount": 0.5,
    }
    return agents.make(config.load(["debug"], options).config, OBS_SPACE, ACT_SPACE)


def make_batch(batch_size=3, length=5):
    rng = np.random.default_rng(0)
    leading = (batch_size, length)
    batch = {
        "position": rng.normal(size=(*leading, 3)).astype(np.float32),
        "reward": rng.uniform(0, 1, leading).astype(np.float32),
        "action": rng.uniform(-1, 1, (*leading, 2)).astype(np.float32),
        "is_first": np.zeros(leading, bool),
        "is_last": np.zeros(leading, bool),
        "is_terminal": rng.uniform(size=leading) < 0.2,
    }
    return {key: tf.constant(value) for key, value in batch.items()}


def slow_actor_loss(reward, discount):
    """−mean over states of: chance to be there · Σ chance to get on · reward, term by term."""
    horizon, starts = reward.shape
    total = 0.0
    for n in range(starts):
        for t in range(horizon):
            # Weights are constants; the discounts inside the sum are not.
            weight = np.prod([discount[k, n].numpy() for k in range(t)])
            for arrival in range(t, horizon):
                factor = 1.0
                for k in range(t, arrival):
                    factor *= discount[k, n]
                total += weight * factor * reward[arrival, n]
    return -total / (horizon * starts)


@pytest.mark.parametrize("discount_model", [False, True])
def test_the_actor_loss_and_its_gradient_equal_a_slow_reference(discount_model):
    agent, batch = make_agent(discount_model), make_batch()
    noise = agent.update_noise(*batch["reward"].shape)
    _, post, _ = agent.model_loss(agent.prepare(batch), noise["post"])
    start = agent.start_states(post)
    with tf.GradientTape(persistent=True) as tape:
        heads = agent.world_model.heads
        feat = agent.behavior.imagine(agent.world_model.rssm, start, noise)
        losses, metrics = agent.behavior.losses(feat, heads["reward"], agent.discount)
        reward = heads["reward"](feat)
        discount = tf.sigmoid(heads["cont"](feat)) if discount_model else tf.ones_like(reward)
        expected = slow_actor_loss(reward, discount)
    assert losses.keys() == {"actor"}
    np.testing.assert_allclose(losses["actor"], expected, rtol=1e-5)
    if not discount_model:
        sums = np.cumsum(reward.numpy()[::-1], axis=0)
        np.testing.assert_allclose(metrics["imag_return"], sums.mean(), rtol=1e-5)
        np.testing.assert_allclose(losses["actor"], -sums.mean(), rtol=1e-5)
    variables = [variable.value for variable in agent.behavior.actor.trainable_variables]
    for ours, theirs in zip(
        tape.gradient(losses["actor"], variables), tape.gradient(expected, variables), strict=True
    ):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * scale)


def test_there_is_no_critic_anywhere(tmp_path):
    agent, other, batch = make_agent(), make_agent(), make_batch()
    uncompiled(agent, other)
    assert agent.parameter_counts().keys() == {"encoder", "rssm", "decoder", "reward", "actor"}
    actor = [variable.numpy() for variable in agent.behavior.actor.trainable_variables]
    metrics, _ = agent.train_step(batch, ())
    assert not [key for key in metrics if "critic" in key or "value" in key]
    assert metrics["nonfinite"] == 0
    moved = zip(actor, agent.behavior.actor.trainable_variables, strict=True)
    assert all(np.any(before != after.numpy()) for before, after in moved)

    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    tf.train.Checkpoint(agent=other).read(path).assert_consumed()
    ours, _ = agent.train_step(batch, ())
    theirs, _ = other.train_step(batch, ())
    assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}
