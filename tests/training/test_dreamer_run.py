"""Runs of a tiny Dreamer: repeated and continued bit for bit."""

import json
import pathlib
import re

import numpy as np
import pytest

import dreamer_tf
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

    def __init__(self):
        super().__init__(image=True)

    def reset(self, seed):
        row = super().reset(seed)
        self._length = 10
        return row


def train(folder, steps=120, **options):
    return dreamer_tf.train(FilmedEnv, logdir=folder, steps=steps, **(OPTIONS | options))


def variables(agent):
    """Every number that the agent holds, optimiser slots and generator included."""
    modules = [agent.world_model, agent.actor, agent.critic]
    weights = [variable.numpy() for module in modules for variable in module.variables]
    steps = [agent.model_step, agent.actor_step, agent.critic_step]
    slots = [variable.numpy() for step in steps for variable in step.optimizer.variables]
    return [*weights, *slots, agent.rng.state.numpy()]


def assert_same(first, second):
    for a, b in zip(variables(first), variables(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def test_the_same_seed_gives_the_same_dreamer_bit_for_bit(whole, tmp_path):
    agent, folder = whole
    assert_same(train(tmp_path), agent)
    scores = (tmp_path / "scores.json").read_text()
    assert scores == (folder / "scores.json").read_text()
    assert json.loads(scores)[0]["xs"] == [60, 120]


def test_another_seed_gives_another_dreamer(whole, tmp_path):
    other = train(tmp_path, steps=60, seed=1)
    with pytest.raises(AssertionError):
        assert_same(other, whole[0])


def test_a_continued_run_equals_one_that_was_never_stopped(whole, tmp_path):
    agent, folder = whole
    train(tmp_path, steps=70)
    assert_same(train(tmp_path), agent)
    assert (tmp_path / "scores.json").read_text() == (folder / "scores.json").read_text()


def test_the_run_leaves_videos_and_documented_metrics(whole):
    _, folder = whole
    names = sorted(path.name for path in (folder / "videos").iterdir())
    assert names == [
        f"{frames:09d}-{what}"
        for frames in (60, 120)
        for what in ("eval.mp4", "openloop-image.gif")
    ]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    merged = {key: value for line in lines for key, value in line.items()}
    assert {"model_loss", "actor_loss", "critic_loss", "kl", "image_mse"} <= merged.keys()
    assert merged["grad_steps"] == 1 + (120 - 40) // 10
    assert merged["nonfinite"] == 0


def test_every_metric_of_dreamer_is_documented(whole):
    agent, folder = whole
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line}
    for key in agent.obs_space:
        names = {re.sub(rf"(^|openloop_){key}_", r"\1<key>_", name) for name in names}
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_a_loaded_agent_acts_as_the_trained_one(whole):
    agent, folder = whole
    loaded = dreamer_tf.load(folder)
    assert_same(loaded, agent)
    env = FilmedEnv()
    row, states = env.reset(5), [None, None]
    for _ in range(4):
        actions = []
        for i, which in enumerate((agent, loaded)):
            action, states[i] = which.policy(row, states[i], mode="eval")
            actions.append(action["action"])
        np.testing.assert_array_equal(*actions)
        row = env.step({"action": actions[0]})


def test_an_environment_that_the_agent_cannot_play_is_an_error_that_says_why(tmp_path):
    class Still(CountingEnv):
        act_space = {}

    with pytest.raises(dreamer_tf.config.ConfigError, match="the agent 'dreamer' cannot play"):
        dreamer_tf.train(Still, logdir=tmp_path, **OPTIONS)
