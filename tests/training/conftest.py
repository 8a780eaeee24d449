"""Runs of the counting agent."""

import pytest

import dreamer_tf
from dreamer_tf.apps.api import training as api
from dreamer_tf.training import session
from tests.training.counting_agent import CountingAgent, SeededEnv

SMALL = {
    "agent": "dreamer",  # Replaced below; an agent named, or the default one would bring a preset.
    "run.prefill": 30,
    "run.pretrain": 2,
    "run.train_every": 4,
    "run.train_updates": 1.5,
    "run.eval_every": 40,
    "run.eval_episodes": 3,
    "run.video_every": 0,
    "run.log_every": 20,
    "run.checkpoint_every": 0,
    "replay.batch_size": 3,
    "replay.batch_length": 6,
    "env.workers": "inline",
}


def _write_nothing(folder, tell):
    """In place of the report, which takes as long as a fifth of such a run."""


@pytest.fixture
def agents(monkeypatch):
    """Replaces the agent that a config names by the counting agent; collects those made."""
    made = []
    make_agent = session.make_agent

    def make(config, obs_space, act_space, kind=None):
        if config.agent == "random" or kind:
            return make_agent(config, obs_space, act_space, kind)
        made.append(make.kind(config, obs_space, act_space, make.nonfinite))
        return made[-1]

    make.kind = CountingAgent
    make.nonfinite = ()
    made_by = type("Agents", (), {"made": made, "make": make})
    monkeypatch.setattr(session, "make_agent", make)
    return made_by


@pytest.fixture
def run(train):
    """Function that trains the counting agent in ``tmp_path / name`` and returns it."""
    return lambda *args, **options: train(*args, **options).agent


@pytest.fixture
def train(agents, tmp_path, monkeypatch):
    """Function that trains the counting agent in ``tmp_path / name`` and returns the `Result`."""
    write_at_end = api.write_at_end

    def train(name="run", env=SeededEnv, steps=100, report=False, **options):
        monkeypatch.setattr(api, "write_at_end", write_at_end if report else _write_nothing)
        return dreamer_tf.train(env, logdir=tmp_path / name, steps=steps, **(SMALL | options))

    return train
