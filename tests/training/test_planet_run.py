"""Runs of a tiny PlaNet through the loop that all agents share."""

import json

import numpy as np
import pytest

import dreamer_tf
from tests.training.test_dreamer_run import OPTIONS, FilmedEnv

PLANET = OPTIONS | {"agent": "planet", "env.count": 2, "planet.overshooting_scale": 1.0}


def train(folder, steps=120):
    return dreamer_tf.train(FilmedEnv, logdir=folder, steps=steps, **PLANET)


def variables(agent):
    """Every number that the agent holds, optimiser slots and generator included."""
    weights = [variable.numpy() for variable in agent.world_model.trainable_variables]
    slots = [variable.numpy() for variable in agent.model_step.optimizer.variables]
    return [*weights, *slots, agent.rng.state.numpy()]


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
    train(tmp_path, steps=80)
    assert_same(train(tmp_path), agent)
    assert (tmp_path / "scores.json").read_text() == (folder / "scores.json").read_text()


def test_the_run_learned_and_left_predictions(whole):
    _, folder = whole
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    merged = {key: value for line in lines for key, value in line.items()}
    assert {"model_loss", "overshooting_loss", "kl", "image_mse"} <= merged.keys()
    assert merged["grad_steps"] > 5 and merged["nonfinite"] == 0
    assert any("openloop-image" in path.name for path in (folder / "videos").iterdir())


def test_a_loaded_agent_acts_as_the_trained_one(whole):
    agent, folder = whole
    loaded = dreamer_tf.load(folder)
    assert_same(loaded, agent)
    row, states = FilmedEnv().reset(5), [None, None]
    actions = []
    for i, which in enumerate((agent, loaded)):
        action, states[i] = which.policy(row, states[i], mode="eval")
        actions.append(action["action"])
    np.testing.assert_array_equal(*actions)
