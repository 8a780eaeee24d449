"""Signals, ``kill -9`` and second trainers, with real processes."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from dreamer_tf.training.stopping import StopSignals
from tests.folders import metrics, newest_state

ROOT = pathlib.Path(__file__).parents[2]


class Trainer:
    """A training run in a process of its own."""

    def __init__(self, folder, steps=10**6, seconds_per_update=0.0, stdout=subprocess.PIPE):
        self.folder = folder
        words = [str(folder), str(steps), str(seconds_per_update)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.trainer_process", *words],
            cwd=ROOT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout is subprocess.PIPE else subprocess.PIPE,
            text=True,
        )

    def wait_until(self, condition, seconds=300):
        """Waits until a condition holds; fails if the process ends first."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline, "the trainer did not get there"
            time.sleep(0.01)

    def read_until(self, text):
        """Reads the output up to a line with ``text``; fails if there is none."""
        read = []
        for line in self.process.stdout:
            read.append(line)
            if text in line:
                return
        pytest.fail(f"no line with {text!r} in {''.join(read)}")

    def end(self, seconds=300):
        """Waits for the end; returns exit code and output."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output

    def kill(self):
        """Kills it, wherever it is."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def start(tmp_path):
    """Function that starts trainers in one run folder and cleans up after them."""
    trainers = []

    def start(*args, **kwargs):
        trainers.append(Trainer(tmp_path, *args, **kwargs))
        return trainers[-1]

    yield start
    for trainer in trainers:
        trainer.kill()


def stored_returns(folder):
    """Returns of the stored episodes."""
    paths = sorted(folder.glob("replay/*.npz"))
    return [float(np.sum(np.load(path)["reward"], dtype=np.float64)) for path in paths]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_inside_a_block_of_updates_saves_everything(start, tmp_path, number, code):
    trainer = start(seconds_per_update=0.2)
    trainer.wait_until(lambda: newest_state(tmp_path) and newest_state(tmp_path)["learning"])
    trainer.process.send_signal(number)
    got, output = trainer.end()
    assert got == code, output
    assert f"{number.name}: finishing the step, then saving" in output
    assert "Traceback" not in output
    state = newest_state(tmp_path)
    rows = [len(np.load(path)["reward"]) - 1 for path in tmp_path.glob("replay/**/*.npz")]
    assert state["counters"]["agent_steps"] == sum(rows)
    # The rest of the block is remembered, and comes first in the next start.
    done = state["counters"]["grad_steps"]
    assert done + state["pending_updates"] == 2 + (sum(rows) - 30) // 4 * 3 / 2 // 1


def test_an_output_that_nobody_reads_any_more_saves_and_ends(start, tmp_path):
    receiver, sender = os.pipe()
    trainer = start(seconds_per_update=0.01, stdout=sender)
    os.close(sender)
    with os.fdopen(receiver) as output:  # As ``| head``.
        assert any("learning starts" in line for line in output)
    _, told = trainer.process.communicate(timeout=300)
    assert trainer.process.returncode == 141, told
    assert "nobody reads the output any more" in told and "Traceback" not in told
    state = newest_state(tmp_path)
    rows = [len(np.load(path)["reward"]) - 1 for path in tmp_path.glob("replay/**/*.npz")]
    assert state["counters"]["agent_steps"] == sum(rows)


def test_a_terminal_that_is_gone_does_not_stop_a_run(start, tmp_path):
    ours, theirs = os.openpty()
    trainer = start(steps=300, stdout=theirs)
    os.close(theirs)
    shown = b""
    while b"run folder" not in shown:
        shown += os.read(ours, 1000)
    os.close(ours)  # From here on writing is an input/output error.
    _, told = trainer.process.communicate(timeout=300)
    assert trainer.process.returncode == 0, told
    assert "the run goes on unseen" in told and "Traceback" not in told
    assert newest_state(tmp_path)["counters"]["env_frames"] == 300


def test_a_second_ctrl_c_ends_at_once(start, tmp_path):
    trainer = start(seconds_per_update=600)
    trainer.read_until("a long update begins")  # Before it, one Ctrl-C is enough.
    trainer.process.send_signal(signal.SIGINT)
    trainer.read_until("a further Ctrl-C ends at once, and loses what was learned since the last")
    time.sleep(1.1)  # Less counts as the same request.
    trainer.process.send_signal(signal.SIGINT)
    assert trainer.end()[0] == 130


def test_in_an_interactive_session_a_second_ctrl_c_is_an_exception(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    monkeypatch.setattr("dreamer_tf.training.stopping._ONE_REQUEST_SECONDS", 0.01)
    requested = threading.Event()
    with StopSignals(lambda text: requested.set()) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert requested.wait(5) and stop.requested is signal.SIGINT
        time.sleep(0.02)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)


def test_handlers_of_a_program_around_python_stay(monkeypatch):
    ours, known, given = signal.getsignal(signal.SIGINT), signal.getsignal, []
    change = lambda number, handler: given.append((number, handler)) or known(number)  # noqa: E731
    monkeypatch.setattr(signal, "getsignal", lambda n: None if n == signal.SIGTERM else known(n))
    monkeypatch.setattr(signal, "signal", change)
    with StopSignals(lambda text: None):
        pass
    assert {number for number, _ in given} == {signal.SIGINT, signal.SIGHUP}
    assert given[-2][1] is ours or given[-1][1] is ours


def test_signals_in_quick_succession_are_one_request(start, tmp_path):
    trainer = start(seconds_per_update=0.2)
    trainer.read_until("learning starts")
    for _ in range(3):
        trainer.process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    code, output = trainer.end()
    assert code == 130 and output.count("SIGINT: finishing the step") == 1
    assert f"saved in {tmp_path}" in output and newest_state(tmp_path)


def test_six_kills_lose_no_finished_episode_and_no_counter_goes_back(start, tmp_path):
    rng = random.Random(0)
    for attempt in range(6):
        before = newest_state(tmp_path)
        known = len(metrics(tmp_path))
        trainer = start(seconds_per_update=0.002)
        if attempt in (2, 4):  # While it starts or continues.
            time.sleep(rng.uniform(1, 4))
        else:
            trainer.wait_until(lambda known=known: len(metrics(tmp_path)) > known)
            time.sleep(rng.uniform(0, 0.7))
        trainer.kill()
        after = newest_state(tmp_path)
        if before:
            for name, count in before["counters"].items():
                assert after["counters"][name] >= count
        # An episode is logged after it was stored.
        logged = [line["train/return"] for line in metrics(tmp_path) if "train/return" in line]
        stored = stored_returns(tmp_path)
        assert set(np.round(logged, 4)) <= set(np.round(stored, 4))
    steps = max(line["step"] for line in metrics(tmp_path)) + 50
    code, output = start(steps=steps).end()
    assert code == 0, output
    starts = [entry["env_frames"] for entry in json.loads((tmp_path / "info.json").read_text())]
    assert len(starts) >= 5 and starts == sorted(starts)
    counters = newest_state(tmp_path)["counters"]
    assert counters["env_frames"] >= steps
    assert counters["grad_steps"] > 0
    # Every line can be read, and no episode was played twice.
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == len(metrics(tmp_path))
    stored = np.round(stored_returns(tmp_path), 6)
    assert len(stored) == len(set(stored)) > 10


@pytest.fixture
def python_handler():
    """Ctrl-C as Python handles it, also where the shell that started this ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_signals_keep_their_effect_outside(python_handler):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals(lambda text: None) as stop:
        assert signal.getsignal(signal.SIGTERM) is not before
        assert stop.requested is None
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_the_first_signal_is_noted_and_told_once():
    told = []
    with StopSignals(told.append) as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while stop.requested is None and time.monotonic() < deadline:
            time.sleep(0.001)
    assert stop.requested == signal.SIGTERM
    [text] = told
    assert text.startswith("SIGTERM: finishing the step, then saving")


def test_a_hangup_that_is_ignored_stays_so():
    """As ``nohup`` starts a program."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals(lambda text: None) as stop:
            signal.raise_signal(signal.SIGHUP)
            time.sleep(0.1)
            assert stop.requested is None
            stop.request(signal.SIGPIPE)
            stop.request(signal.SIGTERM)
        assert stop.requested == signal.SIGPIPE
    finally:
        signal.signal(signal.SIGHUP, before)
