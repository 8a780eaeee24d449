"""Where the runs of a sweep go: into processes here, to the nodes of a Ray cluster, or to Slurm.

An engine starts a job, ``engine(job, slot)``, and returns what it is followed by, with the methods
of ``subprocess.Popen`` that `Runner` needs: ``poll()``, ``send_signal(number)``, ``wait()``. The
grid, the run folders and continuing are the same everywhere; nodes need the folder of the sweep and
this package where this machine has them.
"""

import contextlib
import ctypes
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from dreamer_tf import config as configs
from dreamer_tf.common.extras import install_hint
from dreamer_tf.runs.errors import RunFolderInUse
from dreamer_tf.runs.run_folder import RunFolderLock, saved_frames

OUTPUT = "output.log"
"""File in the run folder that gets what the run prints."""

_LOST_NODES = 3  # in a row, without anything saved in between
_PATIENCE = 60  # seconds for an earlier process to let go of a run folder
_PAUSE = 0.2  # seconds
_EXECUTORS_OWN = ("max_num_timeout", "python")  # What submitit takes as it is made.
_SET_PDEATHSIG = 1  # of Linux' prctl
_LOST = -signal.SIGKILL


class Local:
    """Processes on this machine."""

    def __init__(self, environment):
        """Starts nothing.

        Args:
          environment: Function of a slot to the variables of the run that takes it.
        """
        self._environment = environment

    def __call__(self, job, slot):
        """Starts a run in a session of its own: Ctrl-C comes through this process only."""
        return start_process(job.command, job.folder, env=self._environment(slot))


def start_process(command, folder, **options):
    """A process whose output goes to the run folder, behind what was there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / OUTPUT).open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )


# ------------------------------------------------------------------------- Ray


class OnRay:
    """Actors of Ray, one for each run, on whichever node has room."""

    def __init__(self, address, resources):
        """Connects.

        Args:
          address: Of the cluster; ``auto``: the one that this machine belongs to; empty: this
            machine alone.
          resources: Dict of what a node sets aside for each run: ``cpus``, ``gpus``.

        Raises:
          ConfigError: If Ray is not installed, or there is no such cluster.
        """
        self._ray = _imported("ray")
        unknown = resources.keys() - {"cpus", "gpus"}
        if unknown:
            raise configs.ConfigError(
                f"--resources of the engine ray are cpus=N and gpus=N, got {', '.join(unknown)}"
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if not self._ray.is_initialized():
            paths = os.pathsep.join(path for path in sys.path if path)
            try:
                self._ray.init(
                    address or "local",
                    runtime_env={"env_vars": {"PYTHONPATH": paths}},
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="error",
                )
            except (ConnectionError, ValueError, TimeoutError) as error:
                raise configs.ConfigError(f"no Ray cluster at {address!r}: {error}") from error
        options = {"num_cpus": resources.get("cpus", 1), "num_gpus": resources.get("gpus", 0)}
        self._start = self._ray.remote(Run).options(max_restarts=0, **options).remote

    def __call__(self, job, slot):
        """Asks for an actor that runs the job."""
        del slot
        return _RayRun(self._ray, self._start, job)


class Run:
    """A run on a node: a process and the questions about it."""

    def __init__(self, command, folder):
        """Starts the process, once nobody else holds the run folder any more."""
        folder, deadline = pathlib.Path(folder), time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            # A node that was lost may be still saving.
            with contextlib.suppress(RunFolderInUse), RunFolderLock(folder):
                break
            time.sleep(_PAUSE)
        self._process = start_process(command, folder, preexec_fn=_end_with_parent)

    def poll(self):
        """Exit code; None while it runs."""
        return self._process.poll()

    def send_signal(self, number):
        """Hands a signal on."""
        self._process.send_signal(number)


def _end_with_parent():
    """Lets the process hear signals, which Ray blocks, and SIGTERM when its parent is gone."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGTERM)


class _RayRun:
    """A run that goes on elsewhere when its node is lost."""

    def __init__(self, ray, start, job):
        self._ray, self._start, self._job = ray, start, job
        self._lost, self._saved, self._stopping = 0, 0, None
        self._begin()

    def _begin(self):
        self._started = False  # Until this actor has answered there may be none.
        self._actor = self._start(self._job.command, str(self._job.folder))
        self._answer = self._actor.poll.remote()

    def poll(self):
        ready, _ = self._ray.wait([self._answer], timeout=0)
        if not ready:
            # What waits for room and is not wanted any more has no answer to give.
            return 128 + self._stopping if self._stopping and not self._started else None
        try:
            code = self._ray.get(self._answer)
        except self._ray.exceptions.RayError:
            if self._stopping is not None:
                return 128 + self._stopping
            saved = saved_frames(self._job.folder)
            self._lost, self._saved = 1 if saved > self._saved else self._lost + 1, saved
            if self._lost == _LOST_NODES:
                return _LOST
            self._begin()
            return None
        self._started = True
        if code is None:
            self._answer = self._actor.poll.remote()
        else:
            self._ray.kill(self._actor)
        return code

    def send_signal(self, number):
        self._stopping = int(number)
        if self._started:
            self._actor.send_signal.remote(self._stopping)
        else:
            self._ray.kill(self._actor)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def wait(self):
        return _wait(self)


# ----------------------------------------------------------------------- Slurm


class OnSlurm:
    """Jobs of Slurm, by submitit."""

    def __init__(self, folder, resources, cluster=None):
        """Finds the scheduler.

        Args:
          folder: Folder for submitit's own files.
          resources: Dict of parameters of ``submitit.AutoExecutor.update_parameters``, such as
            ``timeout_min``, ``cpus_per_task``, ``gpus_per_node``, ``slurm_partition``; and of the
            executor's own, such as ``slurm_max_num_timeout``.
          cluster: ``slurm``, or ``local`` and ``debug`` of submitit, to try it out; None: Slurm if
            it is there, else local.

        Raises:
          ConfigError: If submitit is not installed, or a parameter is unknown to it.
        """
        submitit = _imported("submitit")
        own = {key: resources[key] for key in resources if key.endswith(_EXECUTORS_OWN)}
        others = {key: value for key, value in resources.items() if key not in own}
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster, **own)
            self._executor.update_parameters(name="dreamer", **others)
        except (AssertionError, NameError, TypeError, ValueError) as error:
            raise configs.ConfigError(f"--resources of the engine slurm: {error}") from error

    def __call__(self, job, slot):
        """Hands the job in."""
        del slot
        return _SlurmRun(self._executor.submit(SlurmJob(job.command, str(job.folder))))


class SlurmJob:
    """What a job of Slurm does: a run, which it continues when it is preempted or out of time."""

    def __init__(self, command, folder):
        """Takes the words of the command and the run folder."""
        self.command, self.folder = command, folder
        self._process = None

    def __call__(self):
        """Runs it, handing signals on; returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: self._process.send_signal(number))
        return self._run()

    def _run(self):
        # Slurm sends submitit's signal to all processes of a job; the run hears SIGTERM instead.
        self._process = start_process(
            self.command, pathlib.Path(self.folder), preexec_fn=_ignore_submitit
        )
        return self._ended()

    def _ended(self):
        """Waits for the end, and gives the exit code.

        By looking now and then: submitit's signal comes in this thread, and what it calls would
        wait for ever for a process that this thread waits for already.
        """
        while (code := self._process.poll()) is None:
            time.sleep(_PAUSE)
        return code

    def checkpoint(self):
        """Called by submitit before the job is taken away: the run saves, and comes back."""
        if self._process is not None:
            self._process.terminate()
            self._ended()
        return _imported("submitit").helpers.DelayedSubmission(SlurmJob(self.command, self.folder))


def _ignore_submitit():
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


class _SlurmRun:
    """A job that was handed in."""

    def __init__(self, job):
        self._job = job

    def poll(self):
        if not self._job.done():
            return None
        error = self._job.exception()
        return _LOST if error else self._job.result()

    def send_signal(self, number):
        del number
        self._job.cancel(check=False)

    terminate = send_signal

    def wait(self):
        return _wait(self)


def _wait(run):
    while (code := run.poll()) is None:
        time.sleep(_PAUSE)
    return code


def _imported(name):
    extra = {"ray": "ray", "submitit": "slurm"}[name]
    try:
        return __import__(name)
    except ImportError as error:
        raise configs.ConfigError(
            f"the engine {extra} needs {name} ({error}): {install_hint(extra)}"
        ) from error


def resources_from_words(words):
    """``cpus=2 gpus=0.5`` as a dict; numbers are numbers.

    Raises:
      ConfigError: If a word is no ``name=value``.
    """
    resources = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise configs.ConfigError(f"--resources are name=value, got {shlex.quote(word)}")
        resources[name] = _number(value)
    return resources


def _number(text):
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
