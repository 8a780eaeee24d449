"""Which episodes of a game a run trains on, and which it is evaluated by."""

import contextlib

import numpy as np
import pytest

from dreamer_tf import config as configs
from dreamer_tf.training import session

FIRE = np.array([1], np.int32)
BREAKOUT = {"task": "atari_breakout", "env.workers": "inline", "env.atari.sticky_actions": 0.0}


@pytest.fixture(scope="module")
def config():
    return configs.load(["atari"], BREAKOUT).config


def serve(obs, state):
    """Serves every ball and returns none, so that the lives are lost in turn."""
    return {"action": FIRE}, state


def test_training_episodes_end_with_a_life_and_evaluations_with_the_game(config):
    with contextlib.closing(session._make_evaluator(config, None, {})) as evaluator:
        metrics, _, _ = evaluator.play(serve, lambda envs, draws: None, lambda: False)
    with session.start_envs(config) as envs:
        envs.step({"action": FIRE}, np.array([True]))
        frames = 4
        while not (row := envs.step({"action": FIRE}, np.array([False])))["is_last"]:
            frames += 4
    assert row["is_terminal"]
    assert frames < metrics["eval/length"] / 3
