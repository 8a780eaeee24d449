"""Whole runs of a tiny agent of each kind: continued bit for bit, loaded, with all they leave."""

import json
import pathlib
import re
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf.specs import Space
from tests.counting import CountingEnv
from tests.training.counting_agent import SeededEnv

DOCUMENTATION = pathlib.Path(__file__).parents[2] / "docs" / "metrics.md"
OPTIONS = {
    "configs": ["debug"],
    "env.workers": "inline",
    "run.prefill": 40,
    "run.train_every": 10,
    "run.eval_every": 60,
    "run.video_every": 60,
    "run.log_every": 20,
    "run.checkpoint_every": 0,
}


class FilmedEnv(SeededEnv):
    """Ten-step episodes with vectors and an image, and rewards that depend on the actions."""

    def __init__(self, act_space=None):
        super().__init__(image=True, act_space=act_space)

    def reset(self, seed):
        row = super().reset(seed)
        self._length = 10
        return row


class Case(NamedTuple):
    """An agent's run.

    Attributes:
      options: What it sets beyond ``OPTIONS``.
      updates: How many the run makes in 120 frames.
      metrics: Some that it must log.
      act_space: Of its environment; None: two continuous actions.
    """

    options: dict
    updates: int
    metrics: set
    act_space: dict | None = None

    def train(self, folder, steps=120, **options):
        """Trains and returns the agent."""
        options = OPTIONS | self.options | options
        return dreamer_tf.train(self.make_env, logdir=folder, steps=steps, **options)

    def make_env(self):
        return FilmedEnv(self.act_space)


CASES = {
    "dreamer": Case(
        options={},
        updates=1 + (120 - 40) // 10,
        metrics={"model_loss", "actor_loss", "critic_loss"},
    ),
    "planet": Case(
        options={"agent": "planet", "env.count": 2, "planet.overshooting_scale": 1.0},
        updates=1 + (120 - 40) // 10,
        metrics={"model_loss", "overshooting_loss"},
    ),
    "dreamerv2": Case(
        options={
            "agent": "dreamerv2",
            "env.action_repeat": 1,
            "replay.sampler": "episode_ends",
            "replay.consecutive": 2,
            "dreamerv2.carry_state": True,
            "dreamerv2.discount_model": True,
            "dreamerv2.slow_every": 3,
            "dreamerv2.reward_norm.momentum": 0.9,
            "dreamerv2.entropy_scale": "linear(0.1,0.01,10)",
        },
        updates=1 + (120 - 40) // 10,
        metrics={"model_loss", "actor_loss", "critic_loss"},
        act_space={"action": Space(np.int32, (), 0, 2)},
    ),
    # As its presets have it: the policy acts from the first step on, and learns from episodes
    # that are still being played, newest rows first, from what it remembered before them.
    "dreamerv3": Case(
        options={
            "agent": "dreamerv3",
            "env.action_repeat": 1,
            "env.count": 2,
            "replay.sampler": "starts",
            "replay.online": 1.0,
            "replay.ongoing": True,
            "replay.carry": True,
            "run.prefill": 0,
            "run.pretrain": 0,
            "run.train_every": 1,
            "run.train_ratio": 4,
        },
        updates=120 * 4 // (4 * 8),
        metrics={"dyn_loss", "policy_loss", "replay_value_loss", "steer_entropy", "gear_entropy"},
        act_space={"steer": Space(np.float32, (2,), -1, 1), "gear": Space(np.int32, (), 0, 2)},
    ),
}


class Whole(NamedTuple):
    """A run that was never stopped: what it was, the agent, and its folder."""

    case: Case
    agent: dreamer_tf.agents.Agent
    folder: pathlib.Path


@pytest.fixture(scope="module", params=CASES)
def whole(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    case = CASES[request.param]
    return Whole(case, case.train(folder), folder)


def numbers(agent, folder):
    """Every number that the agent holds, optimiser slots, counters and generator included."""
    reader = tf.train.load_checkpoint(tf.train.Checkpoint(agent=agent).write(str(folder / "saved")))
    names = reader.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {name: reader.get_tensor(name) for name in names}


def assert_same(first, second, tmp_path):
    first, second = numbers(first, tmp_path), numbers(second, tmp_path)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def read_metrics(folder):
    """All names with their last value."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {key: value for line in lines for key, value in json.loads(line).items()}


def test_a_continued_run_equals_one_that_was_never_stopped(whole, tmp_path):
    whole.case.train(tmp_path, steps=80)
    assert_same(whole.case.train(tmp_path), whole.agent, tmp_path)
    scores = (tmp_path / "scores.json").read_text()
    assert scores == (whole.folder / "scores.json").read_text()
    assert json.loads(scores)[0]["xs"] == [60, 120]


@pytest.mark.parametrize("whole", ["dreamer"], indirect=True)
def test_another_seed_gives_another_agent(whole, tmp_path):
    other = whole.case.train(tmp_path, steps=60, seed=1)
    with pytest.raises(AssertionError, match="not equal"):
        assert_same(other, whole.agent, tmp_path)


def test_the_run_learned_and_left_videos(whole):
    names = sorted(path.name for path in (whole.folder / "videos").iterdir())
    assert names == [
        f"{frames:09d}-{what}"
        for frames in (60, 120)
        for what in ("eval.mp4", "openloop-image.gif")
    ]
    logged = read_metrics(whole.folder)
    assert whole.case.metrics | {"kl", "image_mse"} <= logged.keys()
    assert (logged["grad_steps"], logged["nonfinite"]) == (whole.case.updates, 0)


def test_every_metric_of_a_run_is_documented(whole):
    names = read_metrics(whole.folder).keys()
    for kind, space in (("key", whole.agent.obs_space), ("action", whole.agent.act_space)):
        for key in space:
            names = {re.sub(rf"^(openloop_|){key}_", rf"\1<{kind}>_", name) for name in names}
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_a_loaded_agent_acts_as_the_trained_one(whole, tmp_path):
    loaded = dreamer_tf.load(whole.folder)
    assert_same(loaded, whole.agent, tmp_path)
    env = whole.case.make_env()
    row, states = env.reset(5), [None, None]
    for _ in range(4):
        actions = []
        for i, agent in enumerate((whole.agent, loaded)):
            action, states[i] = agent.policy(row, states[i], mode="eval")
            actions.append(action)
        np.testing.assert_equal(*actions)
        row = env.step(actions[0])


def test_an_environment_that_the_agent_cannot_play_is_an_error_that_says_why(tmp_path):
    class Still(CountingEnv):
        act_space = {}

    with pytest.raises(dreamer_tf.config.ConfigError, match="the agent 'dreamer' cannot play"):
        dreamer_tf.train(Still, logdir=tmp_path, **OPTIONS)
