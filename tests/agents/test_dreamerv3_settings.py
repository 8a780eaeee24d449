"""Settings of DreamerV3 that no preset changes, and those that cannot be."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.specs import Space
from tests.agents.test_dreamerv3 import behavior_losses, make_agent, make_batch, update


def test_one_state_of_a_sequence_to_imagine_from_is_enough():
    agent = make_agent(**{"dreamerv3.imag_last": 1})
    metrics, _ = update(agent, make_batch())
    assert metrics["replay_value_loss"] == 0 and np.isfinite(metrics["model_loss"])
    assert metrics["nonfinite"] == 0


def test_an_absolute_posterior_sees_the_embedding_alone():
    batch = make_batch()
    for absolute in (False, True):
        agent = make_agent(**{"dreamerv3.rssm.absolute": absolute})
        prepared, noise = agent.prepare(batch), agent.update_noise(3, 7)["post"]
        logits = []
        for start in (0.0, 1.0):
            carry = agent.initial_carry(3)
            carry["deter"] += start
            start = agent._from_carry(carry)
            is_first = tf.zeros([3, 7], bool)
            _, post, _ = agent.model_losses(prepared | {"is_first": is_first}, noise, start)
            logits.append(post.stats["logit"][:, 0].numpy())
        assert np.array_equal(*logits) == absolute


def test_numbers_enter_by_their_symlog_or_as_they_are():
    batch = make_batch()
    for symlog in (False, True):
        plan = make_agent(**{"dreamerv3.encoder.symlog": symlog}).world_model.encoder.plan
        position = np.float32([-3.0, 0.0, 100.0])
        expected = np.sign(position) * np.log1p(np.abs(position)) if symlog else position
        scaled = plan.scale(batch | {"position": tf.constant(position)})
        np.testing.assert_allclose(scaled["position"], expected, rtol=1e-6)
        np.testing.assert_allclose(plan.restore(scaled)["position"], position, rtol=1e-5)


def test_replayed_returns_have_their_own_mix_and_slow_critic():
    def losses(**options):
        agent = make_agent(**{f"dreamerv3.{key}": value for key, value in options.items()})
        for head in (agent.behavior.critic, agent.behavior.slow_critic.network):
            head.out.bias.assign(np.linspace(-1, 1, 41))  # Values that are not zero.
        agent.rng.reset_from_seed(3)
        with tf.GradientTape() as tape:
            found = behavior_losses(agent, tape, make_batch())
        return found["value"].numpy(), found["replay_value"].numpy()

    before = losses()
    for name, changes in (
        ("return_lambda", (True, True)),  # Replayed returns begin with imagined ones.
        ("replay_lambda", (False, True)),
        ("slow_scale", (True, False)),
        ("replay_slow_scale", (False, True)),
    ):
        after = losses(**{name: 0.3})
        differ = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        assert tuple(differ) == changes, name


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"pyramid.depth": 1, "decoder.blocks": 8}, "8 blocks .* share its 4 channels"),
        (
            {"optimizer.schedule": "cosine", "optimizer.anneal": 9},
            "must be after the warmup",
        ),
        ({"harmony": True, "loss_scales.dyn": 0}, "harmony .* loss_scales.dyn, which is 0"),
        ({"return_norm.low": 95, "return_norm.high": 5}, "percentiles of returns rise, got 95"),
        ({"actor.min_std": 2}, "min_std, 2.0, is above its max_std, 1.0"),
    ],
)
def test_settings_that_cannot_be_say_why(options, part):
    with pytest.raises(ValueError, match=part):
        make_agent(**{f"dreamerv3.{key}": value for key, value in options.items()})


def test_an_observation_must_not_have_the_name_of_the_actions():
    space = {"action": Space(np.float32, (2,)), "position": Space(np.float32, (3,))}
    with pytest.raises(ValueError, match="must not be called 'action'"):
        make_agent(space, {"arm": Space(np.float32, (2,), -1, 1)})
