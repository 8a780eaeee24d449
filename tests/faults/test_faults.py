"""Runs of real, tiny agents that are killed, stopped and harmed; ``make faults`` runs all of it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
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


def ended(trainer, code=0, tracebacks=False):
    """Waits for a trainer's end, its exit code, and that of all that it started."""
    started = folders.descendants(trainer.pid)
    assert trainer.end() == code, trainer.output.read_text()
    assert tracebacks or "Traceback" not in trainer.output.read_text()
    deadline = time.monotonic() + 20  # The guardian of the workers ends a moment after them.
    while left := folders.living(started):
        assert time.monotonic() < deadline, f"processes {left} outlive the trainer"
        time.sleep(0.02)


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
    ended(trainer, tracebacks=trouble == "raise")  # The warning holds that of the environment.
    assert "is built anew" in trainer.output.read_text()
    folders.check(tmp_path / "run", None)
    folders.check_finished(tmp_path / "run")


@pytest.mark.faults
def test_a_run_whose_environment_hangs_can_be_stopped_and_goes_on(tmp_path):
    environ, options = {"TROUBLE": "hang"}, {"run.checkpoint_every": 0}
    trainer = kills.Trainer(tmp_path / "run", "planet", STEPS, environ, **options)
    trainer.wait_for("acting")
    time.sleep(20)  # By then an episode hangs, and nothing moves any more.
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


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 16 MB; making one takes a superuser."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be made here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.faults
def test_a_disk_that_is_full_for_a_while_loses_nothing(small_disk):
    options = {"run.disk_patience": 60.0}
    trainer = kills.Trainer(small_disk / "run", "planet", 2000, **options)
    trainer.wait_for("saving")
    ballast = small_disk / "ballast"
    with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    time.sleep(8)
    ballast.unlink()
    ended(trainer)
    assert "the run waits and tries again" in trainer.output.read_text()
    folders.check(small_disk / "run", None)
    folders.check_finished(small_disk / "run")


@pytest.mark.faults
@pytest.mark.parametrize("size", [100, 2_000, 20_000])
def test_a_disk_that_stays_full_ends_a_run_that_can_be_continued(tmp_path, size):
    environ, options = {"FILE_LIMIT": f"{size},0"}, {"run.disk_patience": 2.0}
    trainer = kills.Trainer(tmp_path / "run", "planet", 10**6, environ, **options)
    assert trainer.end() not in (0, None)
    known = folders.check(tmp_path / "run", None)
    frames = max((line["step"] for line in folders.metrics(tmp_path / "run")), default=0) + 100
    ended(kills.Trainer(tmp_path / "run", "planet", frames))
    folders.check(tmp_path / "run", known)
    folders.check_finished(tmp_path / "run")


# ------------------------------------------------------------------------------------- damage

DAMAGES = {
    "emptied": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "overwritten": lambda data: bytes(len(data)),
}
FILES = (
    *("config.yaml", "info.json", "spaces.json", "scores.json", "metrics.jsonl"),
    *("checkpoints/*/weights.index", "checkpoints/*/weights.data*", "checkpoints/*/state.json"),
    *("checkpoints/*/manifest.json", "replay/*.npz", "replay/ongoing/*.npz", "tensorboard/*"),
)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run folder, stopped within episodes."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    ended(kills.Trainer(folder, "planet", 1000, **{"run.checkpoint_every": 0.3}))
    assert folders.ongoing_rows(folder)
    return folder


@pytest.mark.faults
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", FILES)
def test_a_damaged_file_is_one_message_and_the_rest_is_kept(stopped, tmp_path, pattern, damage):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    path = max(folder.glob(pattern))  # The newest, where there are several.
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    before = {name: e for name, e in folders.episodes(stopped).items() if str(name) != path.name}
    trainer = kills.Trainer(folder, "planet", 1100)
    code, output = trainer.end(), trainer.output.read_text()
    assert code in (0, 1, 2) and "Traceback" not in output, output
    after = folders.episodes(folder)
    for name, episode in before.items():
        assert all(np.array_equal(episode[key], after[name][key]) for key in episode)
    if code == 0:
        assert folders.newest_state(folder)["counters"]["env_frames"] >= 1100
    else:
        assert path.name in output, "the message names the file"
