"""Runs of a tiny DreamerV2: discrete actions, memory carried on, continued bit for bit."""

import json

import numpy as np
import pytest

import dreamer_tf
from dreamer_tf.specs import Space
from tests.training.counting_agent import SeededEnv

OPTIONS = {
    "configs": ["debug"],
    "agent": "dreamerv2",
    "env.workers": "inline",
    "env.action_repeat": 1,
    "replay.sampler": "episode_ends",
    "replay.consecutive": 2,
    "run.prefill": 40,
    "run.train_every": 10,
    "run.eval_every": 60,
    "run.video_every": 60,
    "run.log_every": 20,
    "run.checkpoint_every": 0,
    "dreamerv2.carry_state": True,
    "dreamerv2.discount_model": True,
    "dreamerv2.slow_every": 3,
    "dreamerv2.reward_norm.momentum": 0.9,
    "dreamerv2.entropy_scale": "linear(0.1,0.01,10)",
}


class DiscreteEnv(SeededEnv):
    """Ten-step episodes with vectors and an image, one action of three."""

    def __init__(self):
        super().__init__(image=True)
        self._act_space = {"action": Space(np.int32, (), 0, 2)}
        self._obs_space["echo"] = Space(np.float32, (1,))

    def _observe(self, echo):
        return super()._observe(np.reshape(echo, [1]))

    def reset(self, seed):
        row = super().reset(seed)
        self._length = 10
        return row


def train(folder, steps=120, **options):
    return dreamer_tf.train(DiscreteEnv, logdir=folder, steps=steps, **(OPTIONS | options))


def variables(agent):
    """Every number that the agent holds, optimiser slots, counters and generator included."""
    behavior = agent.behavior
    networks = [agent.world_model, behavior.actor, behavior.critic, behavior.slow_critic.network]
    steps = [agent.model_step, behavior.actor_step, behavior.critic_step]
    counters = [agent.grad_steps, behavior.slow_critic.updates, behavior.reward_scale.magnitude]
    slots = [variable for step in steps for variable in step.optimizer.variables]
    weights = [*agent.world_model.trainable_variables]
    weights += [variable for network in networks[1:] for variable in network.variables]
    return [*(v.numpy() for v in [*weights, *slots, *counters]), agent.rng.state.numpy()]


def assert_same(first, second):
    for a, b in zip(variables(first), variables(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def test_a_continued_run_equals_one_that_was_never_stopped(whole, tmp_path):
    agent, folder = whole
    train(tmp_path, steps=70)
    assert_same(train(tmp_path), agent)
    assert (tmp_path / "scores.json").read_text() == (folder / "scores.json").read_text()


def test_the_run_leaves_videos_and_metrics(whole):
    agent, folder = whole
    videos = {path.name for path in (folder / "videos").iterdir()}
    assert {"000000060-openloop-image.gif", "000000120-openloop-image.gif"} <= videos
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    merged = {key: value for line in lines for key, value in line.items()}
    assert {"model_loss", "actor_loss", "critic_loss", "kl", "image_mse"} <= merged.keys()
    assert merged["grad_steps"] == agent.grad_steps == 1 + (120 - 40) // 10
    assert merged["nonfinite"] == 0


def test_a_loaded_agent_acts_as_the_trained_one(whole):
    agent, folder = whole
    loaded = dreamer_tf.load(folder)
    assert_same(loaded, agent)
    env = DiscreteEnv()
    row, states = env.reset(5), [None, None]
    for _ in range(4):
        actions = []
        for i, which in enumerate((agent, loaded)):
            action, states[i] = which.policy(row, states[i], mode="eval")
            actions.append(action["action"])
        np.testing.assert_array_equal(*actions)
        row = env.step({"action": actions[0]})
