"""What plays DreamerV2's training episodes: the actor, Plan2Explore, or chance."""

import numpy as np
import pytest
import tensorflow as tf

from tests.agents.small_dreamerv2 import NO_DECAY
from tests.agents.test_dreamerv2 import SPACES, make_agent, make_batch, snapshot, unchanged

EXPLORE = {"explore.models": 3, "explore.layers": 1, "explore.units": 16}
CURIOUS = EXPLORE | {"explore.behavior": "plan2explore"}


def learn(agent, count=1, **options):
    for seed in range(count):
        metrics, _ = agent.train_step(make_batch(seed=seed, **options), ())
    return metrics


def curious_parts(agent):
    exploration = agent.exploration
    return {
        "ensemble": exploration.ensemble.trainable_variables,
        "actor": exploration.actor_critic.actor.trainable_variables,
        "critic": exploration.actor_critic.critic.trainable_variables,
    }


def act(agent, count=200):
    obs = {"position": np.zeros((count, 3), np.float32), "is_first": np.ones(count, bool)}
    actions, state = agent.policy(obs, mode="train")
    obs["is_first"][:] = False
    return agent.policy(obs, state, mode="train")[0]["action"]


@pytest.mark.parametrize(
    ("space", "target"), [("box", "stoch"), ("category", "deter"), ("box", "feat")]
)
def test_curiosity_learns_beside_the_task(space, target):
    spaces = {"act_space": SPACES[space]}
    agent = make_agent(**spaces, **CURIOUS, **{"explore.target": target})
    before = {name: snapshot(variables) for name, variables in curious_parts(agent).items()}
    metrics = learn(agent, **spaces)
    assert metrics["nonfinite"] == 0
    assert metrics["explore_ensemble_loss"] > 0 and metrics["explore_imag_reward"] > 0
    for name, variables in curious_parts(agent).items():
        assert not unchanged(before[name], variables), name
    assert {"explore_ensemble", "explore_actor", "explore_critic"} < agent.parameter_counts().keys()


def test_curiosity_moves_neither_the_world_model_nor_the_task():
    """With every learning rate of these at zero, nothing of them moves."""
    agent = make_agent(**NO_DECAY, **CURIOUS)
    for step in (agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step):
        step.optimizer.learning_rate = 0.0
    agent.behavior.slow_critic.updates.assign(1)
    others = [
        *agent.world_model.trainable_variables,
        *agent.behavior.actor.trainable_variables,
        *agent.behavior.critic.trainable_variables,
        *agent.behavior.slow_critic.network.variables,
    ]
    before = snapshot(others)
    learn(agent)
    assert unchanged(before, others)


def test_the_task_learns_as_it_would_alone_from_the_same_draws():
    curious, alone = make_agent(**CURIOUS), make_agent()
    for theirs, ours in zip(
        [*alone.world_model.trainable_variables, *alone.behavior.actor.trainable_variables],
        [*curious.world_model.trainable_variables, *curious.behavior.actor.trainable_variables],
        strict=True,
    ):
        ours.assign(theirs.value)
    curious.behavior.critic.set_weights(alone.behavior.critic.get_weights())
    curious.behavior.slow_critic.network.set_weights(alone.behavior.critic.get_weights())
    batch = make_batch()
    noise = curious.update_noise(*batch["reward"].shape)
    ours, _ = curious.update(batch, noise)
    theirs, _ = alone.update(batch, noise)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("scales", [(1.0, 0.0), (0.0, 1.0), (2.0, 3.0)])
def test_the_reward_joins_curiosity_and_task(scales):
    names = ("explore.intrinsic_scale", "explore.extrinsic_scale")
    agent = make_agent(**CURIOUS, **dict(zip(names, scales, strict=True)))
    seen = {}
    learner = agent.exploration.actor_critic
    update = learner.update

    def spy(rssm, start, reward, *rest):
        feat = tf.random.normal([4, 5, rssm.feat_size])
        action = tf.random.normal([3, 5, 2])
        seen["got"] = reward(feat, action)
        seen["curiosity"] = agent.exploration.disagreement.reward(feat, action)
        seen["task"] = agent.predicted_reward(feat, action)
        return update(rssm, start, reward, *rest)

    learner.update = spy
    agent.update(make_batch(), agent.update_noise(3, 6))
    expected = scales[0] * seen["curiosity"] + scales[1] * seen["task"]
    np.testing.assert_allclose(seen["got"], expected, rtol=1e-5, atol=1e-6)


def test_the_ensemble_comes_to_agree_on_what_it_has_seen():
    rates = {"explore.optimizer.learning_rate": 1e-2, "model_optimizer.learning_rate": 1e-6}
    agent = make_agent(**CURIOUS, **rates)
    batch = make_batch(batch_size=8)
    losses, rewards = [], []
    for _ in range(150):
        metrics, _ = agent.train_step(batch, ())
        losses.append(float(metrics["explore_ensemble_loss"]))
        rewards.append(float(metrics["explore_imag_reward"]))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert np.mean(rewards[-10:]) < np.mean(rewards[:10])


@pytest.mark.parametrize("space", SPACES)
def test_each_behaviour_plays_training_episodes_with_its_own_actor(space):
    spaces = {"act_space": SPACES[space]}
    played = {}
    for behavior in ("task", "plan2explore", "random"):
        agent = make_agent(**spaces, **EXPLORE, **{"explore.behavior": behavior})
        # Actors that always do the same thing, each another one.
        biases = {"task": (agent.behavior.actor, 0)}
        if behavior == "plan2explore":
            biases[behavior] = (agent.exploration.actor_critic.actor, 1)
        for actor, index in biases.values():
            size = 2 if space == "box" else 4
            actor.out.kernel.assign(tf.zeros_like(actor.out.kernel))
            bias = np.zeros(actor.out.bias.shape, np.float32)
            if space == "box":
                bias[:size], bias[size:] = (9.0 if index else -9.0), -20.0
            else:
                bias[index] = 50.0
            actor.out.bias.assign(bias)
        played[behavior] = act(agent)
        obs = {"position": np.zeros((4, 3), np.float32)}
        mode = agent.policy(obs, mode="eval")[0]["action"]
        # Evaluation always shows the task's behaviour.
        assert np.allclose(mode, -1, atol=1e-3) if space == "box" else (mode == 0).all()
    if space == "box":
        assert played["task"].mean() < -0.8 and played["plan2explore"].mean() > 0.8
        assert abs(played["random"].mean()) < 0.15 and abs(played["random"].std() - 0.577) < 0.06
        assert np.abs(played["random"]).max() <= 1
    else:
        assert (played["task"] == 0).all() and (played["plan2explore"] == 1).all()
        counts = np.bincount(played["random"].ravel(), minlength=4)
        assert counts.min() > 25


def test_after_so_many_updates_the_task_plays():
    agent = make_agent(**EXPLORE, **{"explore.behavior": "random", "explore.until": 2})
    bias = np.float32([9, 9, -20, -20])
    for expected in (False, False, True):
        agent.behavior.actor.out.kernel.assign(tf.zeros_like(agent.behavior.actor.out.kernel))
        agent.behavior.actor.out.bias.assign(bias)
        assert (act(agent).mean() > 0.8) == expected
        learn(agent)


def test_a_checkpoint_holds_all_of_it(tmp_path):
    first, second = make_agent(**CURIOUS), make_agent(**CURIOUS)
    learn(first, 2)
    path = tf.train.Checkpoint(agent=first).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(agent=second).read(path).assert_consumed()
    ours, theirs = learn(first), learn(second)
    assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}
    for name, variables in curious_parts(first).items():
        assert unchanged(snapshot(variables), curious_parts(second)[name]), name


def test_an_ensemble_whose_loss_is_not_finite_is_left_as_it_is():
    agent = make_agent(**CURIOUS)
    kernel = agent.exploration.ensemble.kernels[0]
    kernel.assign(tf.fill(kernel.shape, np.inf))
    before = snapshot(agent.exploration.ensemble.variables)
    assert learn(agent)["nonfinite"] == 1
    after = agent.exploration.ensemble.variables
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
