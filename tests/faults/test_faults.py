"""Runs of real, tiny agents that are killed, stopped and harmed; ``make faults`` runs all of it."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from tests.faults import folders, kills

STEPS = 1200
EXACT = {"run.checkpoint_every": 0, "run.video_every": 0}


def same(first, second):
    """Asserts that two run folders hold the same agent, replay and curve, bit for bit."""
    for folder in (first, second):
        folders.check(folder, None)
        folders.check_finished(folder)
    readers = [
        tf.train.load_checkpoint(str(newest(folder) / "weights")) for folder in (first, second)
    ]
    names = [set(reader.get_variable_to_shape_map()) for reader in readers]
    assert names[0] == names[1] and len(names[0]) > 50
    different = [
        name
        for name in names[0] - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
        if readers[0].get_tensor(name).tobytes() != readers[1].get_tensor(name).tobytes()
    ]
    assert not different
    assert folders.newest_state(first) == folders.newest_state(second)
    replays = [contents(folder / "replay") for folder in (first, second)]
    assert replays[0] == replays[1]
    assert (first / "scores.json").read_bytes() == (second / "scores.json").read_bytes()


def newest(folder):
    return max((folder / "checkpoints").iterdir())


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def ended(trainer, code=0):
    """Waits for a trainer's end, its exit code, and that of all that it started."""
    started = folders.descendants(trainer.pid)
    assert trainer.end() == code, trainer.output.read_text()
    assert "Traceback" not in trainer.output.read_text()
    assert not folders.living(started)


def test_kills_lose_nothing(tmp_path):
    """The short form of ``python -m tests.faults.kills``."""
    words = [tmp_path, "--kills", "3", "--seed", "3", "--agents", "planet"]
    command = [sys.executable, "-m", "tests.faults.kills", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills: " in done.stdout


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2))
def test_many_kills_lose_nothing(tmp_path, seed):
    kills.kill_again_and_again(tmp_path, 12, seed)


@pytest.mark.faults
@pytest.mark.parametrize("agent", kills.AGENTS)
def test_a_run_stopped_at_random_moments_is_the_one_that_was_not(tmp_path, agent):
    """With what the agent carries into rows, which changes between checkpoints."""
    rng, options = random.Random(agent), dict(EXACT)
    if agent == "dreamerv3":
        options |= {"replay.carry": True, "replay.online": 0.5}
    ended(kills.Trainer(tmp_path / "whole", agent, STEPS, **options))
    for phase in ("acting", "updating", "evaluation", "acting"):
        trainer = kills.Trainer(tmp_path / "parts", agent, STEPS, **options)
        trainer.wait_for(phase)
        time.sleep(rng.expovariate(1 / 0.2))
        os.kill(trainer.pid, signal.SIGTERM)
        assert trainer.end() in (0, 143), trainer.output.read_text()
    ended(kills.Trainer(tmp_path / "parts", agent, STEPS, **options))
    same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.faults
@pytest.mark.parametrize("trouble", ["exit", "raise", "hang"])
def test_environments_in_trouble_are_built_anew(tmp_path, trouble):
    options = {"env.step_timeout": 1.0}
    trainer = kills.Trainer(tmp_path / "run", "planet", 600, {"TROUBLE": trouble}, **options)
    ended(trainer)
    assert "is built anew" in trainer.output.read_text()
    folders.check(tmp_path / "run", None)
    folders.check_finished(tmp_path / "run")


@pytest.mark.faults
def test_a_run_whose_environment_hangs_can_be_stopped_and_goes_on(tmp_path):
    environ, options = {"TROUBLE": "hang"}, {"run.checkpoint_every": 0}
    trainer = kills.Trainer(tmp_path / "run", "planet", STEPS, environ, **options)
    trainer.wait_for("acting")
    time.sleep(5)  # By then an episode hangs, and nothing moves any more.
    os.kill(trainer.pid, signal.SIGTERM)
    began = time.monotonic()
    assert trainer.end() == 143, trainer.output.read_text()
    assert time.monotonic() - began < 40
    assert "its step is given up" in trainer.output.read_text()
    frames = folders.newest_state(tmp_path / "run")["counters"]["env_frames"]
    assert frames
    ended(kills.Trainer(tmp_path / "run", "planet", frames + 200, **options))
    folders.check(tmp_path / "run", None)
    folders.check_finished(tmp_path / "run")
