"""Runs jobs side by side, wherever an engine takes them, and tells how they ended."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import time

from dreamer_tf.apps.sweep.engines import OUTPUT, Local

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PAUSE = 0.1  # seconds between looks at the processes
_TAIL = 4096  # bytes


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
      job: The `Job`.
      code: Exit code; negative: minus the signal that killed it.
      seconds: How long it took this time.
      finished: Whether it has ended well, with all that it should do.
    """

    job: object
    code: int
    seconds: float
    finished: bool

    @property
    def reason(self):
        """Why it is not finished, in a line: its last words, or how it was killed."""
        if self.code < 0:
            name = signal.Signals(-self.code).name
            hint = ", perhaps for lack of memory" if self.code == -signal.SIGKILL else ""
            return f"killed by {name}{hint}"
        if self.code - 128 in _SIGNALS:
            return f"stopped by {signal.Signals(self.code - 128).name}, saved"
        last = last_line(self.job.folder / OUTPUT)
        if self.code == 0:
            return f"ended before all that is due in {self.job.steps:,} frames: {last}"
        return f"exit code {self.code}: {last}"


class Runner:
    """Runs jobs, at most ``parallel`` at a time.

    Ctrl-C and SIGTERM are handed on to the runs, which save and end; nothing new is started. A
    further one, more than a second later, is handed on too, and ends them at once.
    """

    def __init__(self, parallel=1, *, gpus=(), engine=None, on_start, on_end):
        """Starts nothing yet.

        Args:
          parallel: Runs side by side.
          gpus: Names of GPUs, as CUDA_VISIBLE_DEVICES takes them; each run sees one of them. Empty:
            every run sees all.
          engine: Where the runs go, see ``engines.py``; None: into processes on this machine.
          on_start: Function of a `Job`.
          on_end: Function of an `Ended`.
        """
        self._parallel = parallel
        self._gpus = tuple(gpus)
        self._engine = engine or Local(self._environment)
        self._on_start = on_start
        self._on_end = on_end
        self._running = {}
        self._received = []
        self._signal = None

    @property
    def stopped(self):
        """The signal that ended the sweep, or None."""
        return self._signal

    def run(self, jobs):
        """Runs jobs.

        Args:
          jobs: List of `Job`.

        Returns:
          List of `Ended`, those that were started, in the order in which they ended.
        """
        waiting, ended = list(jobs), []
        with self._noting_signals(), self._leaving_none_alone():
            while self._running or (waiting and self._signal is None):
                for slot in range(self._parallel):
                    if slot not in self._running and waiting and self._signal is None:
                        self._start(slot, waiting.pop(0))
                ended += self._collect()
                self._hand_on()
                time.sleep(_PAUSE)
        return ended

    def _start(self, slot, job):
        self._on_start(job)
        self._running[slot] = (self._engine(job, slot), job, time.monotonic())

    def _environment(self, slot):
        """The variables of a run; what the user has set stays."""
        environment = dict(os.environ)
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        if self._parallel > 1:
            threads = str(max(1, usable_cores() // self._parallel))
            environment.setdefault("TF_NUM_INTRAOP_THREADS", threads)
            environment.setdefault("TF_NUM_INTEROP_THREADS", threads)
        if self._parallel > max(1, len(self._gpus)):
            # Otherwise the first run on a GPU takes all of its memory.
            environment.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        return environment

    def _collect(self):
        """Takes note of the runs that have ended."""
        found = []
        for slot, (process, job, start) in list(self._running.items()):
            code = process.poll()
            if code is not None:
                del self._running[slot]
                found.append(
                    Ended(job, code, time.monotonic() - start, not code and job.is_finished)
                )
                self._on_end(found[-1])
        return found

    def _hand_on(self):
        """Sends the runs the signals that have come meanwhile."""
        while self._received:
            self._signal = signal.Signals(self._received.pop(0))
            for process, _job, _start in self._running.values():
                process.send_signal(self._signal)

    @contextlib.contextmanager
    def _noting_signals(self):
        def note(number, _):
            self._received.append(number)

        old = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _leaving_none_alone(self):
        """Stops what still runs when this program fails, and waits until it is saved."""
        try:
            yield
        finally:
            for process, _job, _start in self._running.values():
                process.terminate()
            for process, _job, _start in self._running.values():
                process.wait()


def usable_cores():
    """How many cores this process may use."""
    # macOS has no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def last_line(path):
    """The last line with text of what a run printed; a word for none."""
    path = pathlib.Path(path)
    if not path.is_file():
        return "no output"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
