"""A run of a real, tiny agent in a cheap environment, to be killed and harmed.

What it does at the moment stands in a phase file, one byte, which is not part of the run.
"""

import mmap
import os
import pathlib
import resource
import subprocess
import threading
import time

import numpy as np

from dreamer_tf.envs import Env, make_row
from dreamer_tf.specs import Space

PHASES = {"start": b"s", "acting": b"a", "updating": b"u", "saving": b"c", "evaluation": b"e"}
OPTIONS = {
    "configs": ["debug"],
    "env.count": 2,
    "env.time_limit": 0,
    "replay.ongoing": True,
    "run.prefill": 40,
    "run.train_every": 40,
    "run.eval_every": 300,
    "run.eval_episodes": 2,
    "run.video_every": 900,
    "run.log_every": 50,
    "run.checkpoint_every": 0.3,
}


class Cheap(Env):
    """Episodes of 3 to 60 steps, decided by their seeds; each has a process of its own beside it.

    The variable ``TROUBLE`` is what happens at the second step of every fifth episode, by seed:
    ``hang``, ``exit`` or ``raise``.

    Observations: ``place`` (the seed in two halves, and the step), and a ``number``, which depends
    on everything before it.
    """

    frames_per_step = 2
    act_space = {"action": Space(np.float32, (2,), -1, 1)}
    obs_space = {"place": Space(np.float32, (3,)), "number": Space(np.float32, (1,))}

    def __init__(self):
        self._child = subprocess.Popen(["sleep", "3600"])

    def reset(self, seed):
        self._rng = np.random.default_rng(seed)
        self._seed, self._step, self._number = seed, 0, np.float32(self._rng.normal())
        self._length = 3 + seed % 58
        return make_row(self._look(), is_first=True)

    def step(self, action):
        self._step += 1
        if self._step == 2 and self._seed % 5 == 0:
            self._make_trouble()
        noise = np.float32(self._rng.normal())
        self._number = np.float32(0.9 * self._number + action["action"].sum() / 4 + noise / 10)
        last = self._step == self._length
        return make_row(self._look(), self._number, is_last=last, is_terminal=last)

    def close(self):
        self._child.kill()

    def _make_trouble(self):
        trouble = os.environ.get("TROUBLE")
        if trouble == "hang":
            time.sleep(3600)
        if trouble == "exit":
            os._exit(9)
        if trouble == "raise":
            raise RuntimeError("as it was told to")

    def _look(self):
        place = [self._seed >> 16, self._seed & 0xFFFF, self._step]
        return {"place": np.float32(place), "number": np.float32([self._number])}


def train(folder, agent, steps, phase_file, **options):
    """Trains; returns the agent.

    Args:
      folder: Run folder.
      agent: Name of the agent.
      steps: env_frames.
      phase_file: Path of a file for the phase, or None.
      **options: Beyond `OPTIONS`.
    """
    import dreamer_tf
    from dreamer_tf.apps import api
    from dreamer_tf.training import loop

    api.write_at_end = lambda folder, tell: None  # A report takes longer than such a run.
    if phase_file is not None:
        phases = {"_act": "acting", "_learn": "updating", "_save": "saving"}
        show = _open(phase_file)
        for name, phase in (phases | {"_evaluate": "evaluation"}).items():
            setattr(loop.Trainer, name, _showing(getattr(loop.Trainer, name), phase, show))
    options = OPTIONS | {"agent": agent} | options
    return dreamer_tf.train(Cheap, logdir=folder, steps=steps, **options)


def _open(path):
    path = pathlib.Path(path)
    path.write_bytes(PHASES["start"])
    with path.open("r+b") as file:
        shown = mmap.mmap(file.fileno(), 1)

    def show(phase):
        before = shown[:1]
        shown[:1] = phase
        return before

    return show


def _showing(method, phase, show):
    def shown(*args):
        before = show(PHASES[phase])
        try:
            return method(*args)
        finally:
            show(before)

    return shown


def limit_files(size, seconds):
    """After a moment, makes the system refuse larger files, as a full disk does; for some seconds.

    Args:
      size: Bytes.
      seconds: How long; 0: for good.
    """

    def limit():
        time.sleep(3)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        if seconds:
            time.sleep(seconds)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    threading.Thread(target=limit, daemon=True).start()
