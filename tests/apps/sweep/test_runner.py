"""Running jobs side by side: order, failures, signals, and what their processes see."""

import json
import os
import pathlib
import signal
import sys
import threading
import time

import pytest

from dreamer_tf.apps.sweep.engines import OUTPUT
from dreamer_tf.apps.sweep.jobs import Job
from dreamer_tf.apps.sweep.runner import Runner, last_line

STEPS = 100
# What a run does, as far as a sweep can tell; the first argument is its folder.
PROGRAM = """
import json, os, pathlib, signal, sys, time
folder, act = pathlib.Path(sys.argv[1]), sys.argv[2]

def save(frames):
    (folder / "checkpoints" / f"00001-frames{frames}-updates1").mkdir(parents=True)

def stop(number, frame):
    save(50)
    sys.exit(128 + number)

signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
(folder / "started").write_text(json.dumps(dict(os.environ)))
if act == "meet":  # goes on only when the other one has started too
    while len(list(folder.parent.glob("*/started"))) < 2:
        time.sleep(0.01)
if act == "hang":
    time.sleep(60)
if act == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
if act == "fail":
    print("first words")
    print("the reason", file=sys.stderr)
    sys.exit(2)
if act != "give up":
    save(100)
"""


class Scripted(Job):
    """A job whose process runs ``PROGRAM``."""

    @property
    def command(self):
        """The process that stands for the run; the act is its word."""
        return [sys.executable, "-c", PROGRAM, str(self.folder), *self.words]


def jobs(folder, *acts):
    return [
        Scripted("task", seed, folder / str(seed), STEPS, (act,)) for seed, act in enumerate(acts)
    ]


class Events(list):
    """What a runner reports, in order."""

    def runner(self, parallel=1, **kwargs):
        return Runner(
            parallel,
            on_start=lambda job: self.append(("start", job.seed)),
            on_end=lambda ended: self.append(("end", ended.job.seed)),
            **kwargs,
        )


def environment(folder):
    return json.loads((folder / "started").read_text())


def test_one_at_a_time(tmp_path):
    events = Events()
    ended = events.runner().run(jobs(tmp_path, "finish", "finish"))
    assert events == [("start", 0), ("end", 0), ("start", 1), ("end", 1)]
    assert all(one.finished and one.code == 0 for one in ended)


def test_two_at_a_time(tmp_path):
    events = Events()
    ended = events.runner(2).run(jobs(tmp_path, "meet", "meet", "finish"))
    assert len(ended) == 3 and all(one.finished for one in ended)
    assert events[:2] == [("start", 0), ("start", 1)]
    assert events.index(("start", 2)) > 2


def test_failures_do_not_stop_the_others_and_say_why(tmp_path):
    runner = Events().runner(2)
    ended = runner.run(jobs(tmp_path, "fail", "crash", "give up", "finish"))
    reasons = {one.job.seed: one.reason for one in ended if not one.finished}
    assert reasons[0] == "exit code 2: the reason"
    assert reasons[1] == "killed by SIGKILL, perhaps for lack of memory"
    assert reasons[2] == "ended before all that is due in 100 frames: no output"
    assert set(reasons) == {0, 1, 2} and runner.stopped is None
    assert (tmp_path / "0" / OUTPUT).read_text().splitlines() == ["first words", "the reason"]


def test_the_output_of_an_earlier_start_is_kept(tmp_path):
    for _ in range(2):
        Events().runner().run(jobs(tmp_path, "fail"))
    assert (tmp_path / "0" / OUTPUT).read_text().count("first words") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_nothing_new_is_started(tmp_path, number):
    events = Events()
    runner = events.runner(2)

    def interrupt():
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("*/started"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=interrupt)
    thread.start()
    ended = runner.run(jobs(tmp_path, "hang", "hang", "finish"))
    thread.join()
    assert runner.stopped == number and signal.getsignal(number) == before
    assert [one.code for one in ended] == [128 + number] * 2
    assert all(one.reason == f"stopped by {number.name}, saved" for one in ended)
    assert ("start", 2) not in events
    assert len(list(tmp_path.glob("*/checkpoints/*frames50*"))) == 2


def test_runs_are_stopped_when_the_sweep_fails(tmp_path):
    def fail(job):
        if job.seed == 1:
            while not (tmp_path / "0" / "started").exists():
                time.sleep(0.01)
            raise OSError("no more")

    runner = Runner(2, on_start=fail, on_end=lambda ended: None)
    with pytest.raises(OSError, match="no more"):
        runner.run(jobs(tmp_path, "hang", "finish"))
    assert list(tmp_path.glob("0/checkpoints/*frames50*"))


def test_each_run_sees_one_gpu(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    Events().runner(2, gpus=["0", "3"]).run(jobs(tmp_path, "meet", "meet"))
    seen = [environment(tmp_path / str(seed)) for seed in (0, 1)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in seen] == ["0", "3"]
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in seen[0]


def test_runs_side_by_side_share_cores_and_gpus(tmp_path, monkeypatch):
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_FORCE_GPU_ALLOW_GROWTH")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    Events().runner().run(jobs(tmp_path / "alone", "finish"))
    assert not set(names) & set(environment(tmp_path / "alone" / "0"))
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    Events().runner(1000).run(jobs(tmp_path / "many", "finish"))
    seen = environment(tmp_path / "many" / "0")
    assert [seen[name] for name in names] == ["1", "7", "true"]


@pytest.mark.parametrize(
    ("text", "line"), [("", "no output"), ("a\nb\n\n  \n", "b"), ("x" * 9000 + "\nend", "end")]
)
def test_the_last_line_is_the_last_with_text(tmp_path, text, line):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == line
    assert last_line(pathlib.Path(tmp_path) / "none") == "no output"
