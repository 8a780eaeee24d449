"""Environments whose values say where they come from, and ones that fail."""

import os
import pathlib
import signal
import time

import numpy as np

from dreamer_tf.envs import Env, make_row
from dreamer_tf.specs import Space


class CountingEnv(Env):
    """Counts its steps, so that a row tells its place, and echoes actions.

    Observations: ``count`` (steps of this episode), ``episode`` (resets of this object, from 1),
    ``seed`` (of the episode, modulo 2**20), ``echo`` (the numbers of the action that led here, zero
    at first), and on request an ``image`` filled with the count. The reward on arriving at count n
    is n.

    Args:
      length: Steps of an episode.
      terminal: Whether episodes terminate; otherwise they are cut off.
      image: Whether there is an image, 64x64x3.
      act_space: Dict of action key to `Space`; None: ``action``, two continuous ones.
    """

    def __init__(self, length=5, *, terminal=True, image=False, act_space=None):
        self._length, self._terminal = length, terminal
        self._act_space = act_space or {"action": Space(np.float32, (2,), -1, 1)}
        self._obs_space = {key: Space(np.float32, (1,)) for key in ("count", "episode", "seed")}
        low, high = (
            np.concatenate([getattr(space, bound).ravel() for space in self._act_space.values()])
            for bound in ("low", "high")
        )
        self._obs_space["echo"] = Space(np.float32, low.shape, low, high)
        if image:
            self._obs_space["image"] = Space(np.uint8, (64, 64, 3))
        self._count = self._episode = self._seed = 0

    @property
    def obs_space(self):
        return self._obs_space

    @property
    def act_space(self):
        return self._act_space

    def reset(self, seed):
        self._count, self._seed = 0, seed % 2**20
        self._episode += 1
        nothing = {key: np.zeros(space.shape) for key, space in self._act_space.items()}
        return make_row(self._observe(nothing), is_first=True)

    def step(self, action):
        self._count += 1
        last = self._count == self._length
        return make_row(
            self._observe(action),
            self._count,
            is_last=last,
            is_terminal=last and self._terminal,
        )

    def render(self):
        return np.full((64, 64, 3), self._count % 256, np.uint8)

    def _observe(self, action):
        numbers = {"count": self._count, "episode": self._episode, "seed": self._seed}
        obs = {key: np.array([value], np.float32) for key, value in numbers.items()}
        echo = [np.ravel(action[key]) for key in self._act_space]
        obs["echo"] = np.concatenate(echo).astype(np.float32)
        if "image" in self._obs_space:
            obs["image"] = self.render()
        return obs


class FailingEnv(CountingEnv):
    """Fails at a step.

    Args:
      how: ``exit`` (the process ends), ``kill`` (signal 9), ``raise``, ``nan``, ``dtype``,
        ``shape``, ``key`` (a wrong observation) or ``hang``.
      at: Steps into an episode.
      once: Path of a file that the first failure creates and that prevents further ones.
      **options: Of ``CountingEnv``.
    """

    def __init__(self, how, *, at=2, once=None, **options):
        super().__init__(**options)
        self._how, self._at = how, at
        self._once = once and pathlib.Path(once)

    def step(self, action):
        row = super().step(action)
        if self._count != self._at or (self._once and self._once.exists()):
            return row
        if self._once:
            self._once.touch()
        return self._fail(row)

    def _fail(self, row):
        if self._how == "exit":
            os._exit(7)
        if self._how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._how == "raise":
            raise RuntimeError("the simulator broke")
        if self._how == "hang":
            time.sleep(600)
        if self._how == "key":
            del row["count"]
            return row
        wrong = {
            "nan": np.array([np.nan], np.float32),
            "dtype": np.array([0.0], np.float64),
            "shape": np.zeros(3, np.float32),
        }
        return {**row, "count": wrong[self._how]}
