"""Whole runs of a tiny agent of each kind: continued bit for bit, loaded, with all they leave."""

import json
import pathlib
import re
import shutil
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf.runs.writers import Writer
from dreamer_tf.specs import Space
from dreamer_tf.training import loop, session
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
    "run.log_every": 7,
    "run.checkpoint_every": 0,
}


KILLED = 84
"""The frame of the kill: within an episode."""


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
      options: What it sets beyond `OPTIONS`.
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
        return dreamer_tf.train(self.make_env, logdir=folder, steps=steps, **options).agent

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
        # From frame 40 on there are as many rows as in a batch, in two environments.
        updates=1 + (120 - 40) * 4 // (4 * 8),
        metrics={"dyn_loss", "policy_loss", "replay_value_loss", "steer_entropy", "gear_entropy"},
        act_space={"steer": Space(np.float32, (2,), -1, 1), "gear": Space(np.int32, (), 0, 2)},
    ),
}


class Kill(Writer):
    """Copies a run folder as ``kill -9`` would leave it right after a checkpoint.

    It is the run's clock of checkpoints, too: one is due as soon as learning at that frame has
    begun, in the middle of a block of updates if that has several.

    Args:
      frame: When to kill.
      copy: The folder of the copy.
    """

    def __init__(self, frame, copy):
        self._frame = frame
        self._copy = copy
        self._now = 0

    def open(self, folder):
        """Notes the run folder: itself the writer."""
        self._folder = folder
        return self

    def write(self, env_frames, scalars):
        self._now = env_frames

    def due(self):
        return self._now >= self._frame and not self._copy.exists()

    def mark(self):
        if self.due():
            shutil.copytree(self._folder, self._copy)


class Whole(NamedTuple):
    """A run that was never stopped: what it was, the agent, its folder, and one killed on the way.

    Attributes:
      case: What it was.
      agent: The agent.
      folder: Its folder.
      killed: The same folder as a kill within an episode would have left it.
    """

    case: Case
    agent: dreamer_tf.agents.Agent
    folder: pathlib.Path
    killed: pathlib.Path


@pytest.fixture(scope="module", params=CASES)
def whole(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    case, killed = CASES[request.param], folder.with_name(f"{folder.name}-killed")
    kill = Kill(KILLED, killed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Seconds", lambda period: kill)
        return Whole(case, case.train(folder, writers=[kill.open]), folder, killed)


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
    assert_same(whole.case.train(whole.killed), whole.agent, tmp_path)
    starts = json.loads((whole.killed / "info.json").read_text())
    assert [start["env_frames"] for start in starts] == [0, KILLED]
    scores = (whole.killed / "scores.json").read_text()
    assert scores == (whole.folder / "scores.json").read_text()
    assert json.loads(scores)[0]["xs"] == [60, 120]


def test_the_seed_of_a_run_decides_the_first_weights(tmp_path):
    quick = {"run.prefill": 9, "run.eval_every": 0, "steps": 2}
    first, other, again = (
        networks(OPTIONS | quick | {"seed": seed, "env.workers": workers}, tmp_path / str(place))
        for place, (seed, workers) in enumerate([(0, "inline"), (1, "inline"), (1, "process")])
    )
    np.testing.assert_equal(again, other)
    assert all((kernel != other[name]).all() for name, kernel in first.items() if "kernel" in name)


def networks(options, folder):
    """The weights of an agent that a run leaves, by network and variable."""
    presets, overrides = options.pop("configs"), options | {"logdir": str(folder)}
    agent = session.run(configs.load(presets, overrides), CountingEnv, quiet=True).agent
    return {
        f"{name} {number} {variable.name}": variable.numpy()
        for name, network in agent.networks.items()
        for number, variable in enumerate(network.variables)
    }


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


def test_what_no_agent_can_be_built_for_is_an_error_that_says_why(tmp_path):
    class Still(CountingEnv):
        act_space = {}

    with pytest.raises(dreamer_tf.config.ConfigError, match="agent 'dreamer' cannot be built for"):
        dreamer_tf.train(Still, logdir=tmp_path, **OPTIONS)
