"""What docs/architecture.md says can be added, added from outside the package: a toy of each kind.

One run has all three: a family of environments, an objective of DreamerV3 without a decoder, and a
logger.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import agents
from dreamer_tf.envs import registry
from dreamer_tf.runs.writers import Writer
from dreamer_tf.world_model import Objective
from tests.counting import CountingEnv

SMALL = {
    "agent": "dreamerv3",
    "run.prefill": 20,
    "run.train_every": 10,
    "run.log_every": 20,
    "run.eval_every": 40,
    "run.video_every": 40,
    "env.workers": "inline",
}


class Whitening(Objective):
    """A toy: every unit of the features shall have mean 0 and variance 1 over the batch."""

    def __init__(self, scale):
        super().__init__("whitening", {"whitening": scale})

    def terms(self, obs, feat, embed):
        mean, variance = tf.nn.moments(feat, axes=[0, 1])
        loss = tf.reduce_mean(tf.square(mean) + tf.square(variance - 1.0))
        return {"whitening": loss}, {"whitening_spread": tf.math.reduce_std(variance)}


class WhiteningDreamerV3(agents.DreamerV3):
    """DreamerV3 with it."""

    def make_objective(self, encoder, rssm, dtype):
        return Whitening(scale=0.5)


class Kept(Writer):
    """A logger that keeps what it is told."""

    lines, videos = [], []

    def __init__(self, folder):
        self.lines.clear()
        self.videos.clear()

    def write(self, env_frames, scalars):
        self.lines.append({"step": env_frames, **scalars})

    def video(self, env_frames, name, frames, fps):
        self.videos.append(name)


def make_counting(name, *, action_repeat, time_limit, image_size):
    del action_repeat, time_limit, image_size
    return CountingEnv(int(name.removeprefix("to_")), image=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with all three."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, "counting", make_counting)
        patch.setitem(agents.AGENTS, "dreamerv3", WhiteningDreamerV3)
        agent = dreamer_tf.train(
            "counting_to_9",
            ["dreamerv3_gym", "debug"],
            logdir=folder,
            steps=80,
            writers=[Kept],
            **SMALL,
        )
    return folder, agent


def test_a_family_of_environments_plays(run):
    folder, _ = run
    assert json.loads((folder / "scores.json").read_text())[0]["task"] == "counting_to_9"


def test_an_objective_without_a_decoder_is_learned_and_weighed(run):
    _, agent = run
    assert agent.loss_scales["whitening"] == 0.5
    learned = [line["whitening_loss"] for line in Kept.lines if "whitening_loss" in line]
    assert learned and np.isfinite(learned).all()
    spreads = [line["whitening_spread"] for line in Kept.lines if "whitening_spread" in line]
    assert len(spreads) == len(learned)
    assert not any(line.get("nonfinite") for line in Kept.lines)


def test_a_logger_gets_every_line_and_every_video(run):
    folder, _ = run
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert Kept.lines == [json.loads(line) for line in lines]
    assert "eval" in Kept.videos
