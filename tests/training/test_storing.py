"""A full disk: what is waited for, for how long, and what is not lost."""

import errno
import json
import os
import subprocess
import threading

import numpy as np
import pytest

from dreamer_tf.runs.errors import CheckpointError
from dreamer_tf.training.storing import Storing
from tests.training.counting_agent import SeededEnv

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Disk:
    """Refuses until a time, on a clock that waiting moves."""

    def __init__(self, until, error=FULL):
        self.until, self.error = until, error
        self.time, self.tries = 0.0, 0

    def store(self):
        self.tries += 1
        if self.time < self.until:
            raise self.error

    def sleep(self, seconds):
        self.time += seconds

    def storing(self, patience, told, stopped=lambda: False):
        return Storing(patience, told.append, stopped, lambda: self.time, self.sleep)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (FULL, "make room, and it goes on"),
        (OSError(errno.EIO, "broken"), "it goes on with the disk"),
    ],
)
def test_a_disk_that_refuses_is_waited_for_with_one_message(error, advice):
    disk, told = Disk(until=40, error=error), []
    disk.storing(60, told)(disk.store)
    assert disk.tries == 41
    waits = "the run waits and tries again for 60 seconds (run.disk_patience)"
    worked = "it worked after 40 seconds; the run goes on"
    assert told == [f"{error}; {waits}: {advice}", worked]


def test_patience_ends_and_then_nothing_is_waited_for():
    disk, told = Disk(until=10**6, error=CheckpointError("full.", errno.ENOSPC)), []
    storing = disk.storing(60, told)
    for tries in (61, 62):
        with pytest.raises(CheckpointError):
            storing(disk.store)
        assert disk.tries == tries and len(told) == 1


@pytest.mark.parametrize(
    ("patience", "error", "stopped"),
    [(0, FULL, False), (60, OSError(errno.EFBIG, "limit"), False), (60, FULL, True)],
)
def test_what_does_not_pass_and_a_stop_are_not_waited_for(patience, error, stopped):
    disk, told = Disk(10**6, error), []
    with pytest.raises(OSError):
        disk.storing(patience, told, lambda: stopped)(disk.store)
    assert disk.tries == 1 and not told


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1.5 MB for the run folder ``tmp_path / "disk"``."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk of its own needs the rights to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class FillingEnv(SeededEnv):
    """Fills the disk at its 45th step.

    Args:
      filler: Path of the file that takes all the room.
      seconds: After which it goes away; None: it stays.
    """

    steps = 0

    def __init__(self, filler, seconds):
        super().__init__()
        self._filler, self._seconds = filler, seconds

    def step(self, action):
        FillingEnv.steps += 1
        if FillingEnv.steps == 45:
            fill(self._filler)
            if self._seconds is not None:
                threading.Timer(self._seconds, self._filler.unlink).start()
        return super().step(action)


def fill(path):
    """Writes until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC


def episode_steps(folder, files="*.npz"):
    """Rows after the first of every stored episode, oldest first; ``**/*.npz``: unfinished, too."""
    return [len(np.load(path)["reward"]) - 1 for path in sorted((folder / "replay").glob(files))]


def test_a_disk_that_is_full_for_a_while_loses_nothing(run, small_disk, capsys, monkeypatch):
    monkeypatch.setattr(FillingEnv, "steps", 0)
    options = {"run.eval_every": 0, "run.disk_patience": 60, "run.log_every": 10}
    run("disk/run", env=lambda: FillingEnv(small_disk / "filler", 2.0), steps=90, **options)
    shown = capsys.readouterr().out
    assert shown.count("the run waits and tries again") == 1
    assert "it worked after" in shown
    folder = small_disk / "run"
    steps = episode_steps(folder)
    assert sum(episode_steps(folder, "**/*.npz")) == 90
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    lengths = [line["train/length"] for line in lines if "train/length" in line]
    assert lengths == steps
    assert [line["step"] for line in lines if "speed/frames" in line] == list(range(10, 91, 10))


def test_a_disk_that_stays_full_ends_the_run_and_what_was_stored_is_there(
    run, small_disk, monkeypatch, capsys
):
    monkeypatch.setattr(FillingEnv, "steps", 0)
    options = {"run.eval_every": 0, "run.disk_patience": 1.5}
    run("disk/run", env=SeededEnv, steps=40, **options)
    before = episode_steps(small_disk / "run")
    with pytest.raises(OSError, match="No space left"):
        run("disk/run", env=lambda: FillingEnv(small_disk / "filler", None), steps=200, **options)
    assert "the run waits and tries again for 2 seconds" in capsys.readouterr().out
    (small_disk / "filler").unlink()
    assert episode_steps(small_disk / "run")[: len(before)] == before
    run("disk/run", env=SeededEnv, steps=100, **options)
    assert sum(episode_steps(small_disk / "run", "**/*.npz")) == 100
