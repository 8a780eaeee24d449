"""The interface of an environment, and what every simulator behind it shares."""

import abc
from collections.abc import Mapping

import numpy as np

from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.structure import describe
from dreamer_tf.specs import LOG_PREFIX, Row, Space


class Env(abc.ABC):
    """One environment that returns rows of experience.

    A row is a dict of the observation keys and ``reward`` (float32), ``is_first``, ``is_last``
    and ``is_terminal`` (bool). The last of an episode may have numbers for the log, under keys that
    begin with ``log_``. The reward is the one received on arriving at this observation;
    `dreamer_tf.specs` draws the alignment. ``is_terminal`` says that the task ended here, so
    nothing more could have been earned; ``is_last`` alone that the episode was only cut off.
    """

    @property
    @abc.abstractmethod
    def obs_space(self) -> dict[str, Space]:
        """Dict of observation key to `Space`."""

    @property
    @abc.abstractmethod
    def act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`; continuous actions lie between -1 and 1."""

    @property
    def native_act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`: the actions as the simulator itself takes them.

        Numbers have its own bounds (int32: it counts in whole steps) and its shape; categories
        are counted from its first one.
        """
        return self.act_space

    @property
    def frames_per_step(self) -> int:
        """Simulator frames (``env_frames``) that one step usually takes: the action repeat."""
        return 1

    @abc.abstractmethod
    def reset(self, seed: int) -> Row:
        """Begins an episode.

        Args:
          seed: Integer from 0 to 2**32 - 1. The same seed and the same actions give the same
            episode, whatever was played before.

        Returns:
          The first row: reward 0, ``is_first`` true.
        """

    @abc.abstractmethod
    def step(self, action: Mapping[str, np.ndarray]) -> Row:
        """Takes one action; after a row with ``is_last`` the caller resets.

        Args:
          action: Dict of action key to array.

        Returns:
          The next row.
        """

    def render(self) -> np.ndarray:
        """A picture of the present state, uint8 of ``[height, width, channels]``."""
        raise NotImplementedError(f"{type(self).__name__} draws no pictures")

    def close(self) -> None:  # noqa: B027 (most environments hold nothing to free)
        """Frees what the environment holds."""


class FrameEnv(Env):
    """An environment over a simulator that advances frame by frame.

    Repeats actions, sums their rewards, cuts episodes off at the time limit and sets the flags.
    The observation is taken once per step, after the last frame. Subclasses give the two spaces
    and the three methods `_begin`, `_advance` and `_observe`, and may give `_log`.
    """

    def __init__(self, *, action_repeat: int = 1, time_limit: int = 0) -> None:
        """Begins no episode yet.

        Args:
          action_repeat: Frames per step, at least 1.
          time_limit: Frames until an episode is cut off; 0 for no limit but the simulator's own.
        """
        if action_repeat < 1:
            raise EnvError(
                f"action_repeat must be at least 1, got {action_repeat}; 0 stands for PlaNet's "
                "choice, which only dm_control tasks have"
            )
        if time_limit < 0:
            raise ValueError(f"time_limit must be positive, or 0 for none, got {time_limit}")
        self._action_repeat = action_repeat
        self._time_limit = time_limit
        self._frames = 0

    @property
    def frames_per_step(self) -> int:
        return self._action_repeat

    @abc.abstractmethod
    def _begin(self, seed: int) -> None:
        """Puts the simulator at the start of the episode that belongs to ``seed``."""

    @abc.abstractmethod
    def _advance(self, action: Mapping[str, np.ndarray]) -> tuple[float, bool, bool]:
        """Advances one frame.

        Returns:
          Reward, and whether the episode terminated, and whether it was truncated.
        """

    @abc.abstractmethod
    def _observe(self) -> Row:
        """Dict of the present observations."""

    def _log(self) -> Mapping[str, float]:
        """Dict of name to number: what the log should say about the episode that ends here."""
        return {}

    def reset(self, seed: int) -> Row:
        self._frames = 0
        self._begin(seed)
        return make_row(self._observed(), is_first=True)

    def step(self, action: Mapping[str, np.ndarray]) -> Row:
        total, terminated, truncated = 0.0, False, False
        for _ in range(self._action_repeat):
            reward, terminated, truncated = self._advanced(action)
            total += reward
            self._frames += 1
            truncated = truncated or self._frames == self._time_limit
            if terminated or truncated:
                break
        last = terminated or truncated
        row = make_row(self._observed(), total, is_last=last, is_terminal=terminated)
        return row | self._logged() if last else row

    def _advanced(self, action):
        """One frame, with what a subclass says about it checked."""
        result = self._advance(action)
        try:
            reward, terminated, truncated = result
            return float(reward), bool(terminated), bool(truncated)
        except (TypeError, ValueError) as error:
            raise EnvError(
                f"{type(self).__name__}._advance() must return reward, terminated and truncated, "
                f"a number and two bools; got {describe(result)}"
            ) from error

    def _observed(self):
        obs = self._observe()
        if not isinstance(obs, Mapping):
            raise EnvError(
                f"{type(self).__name__}._observe() must return a dict of observations; got "
                f"{describe(obs)}"
            )
        return obs

    def _logged(self):
        """What is logged, as a part of a row; what is no number is left out by `CheckedEnv`."""
        log = self._log()
        if not isinstance(log, Mapping):
            raise EnvError(
                f"{type(self).__name__}._log() must return a dict of numbers; got {describe(log)}"
            )
        return {f"{LOG_PREFIX}{name}": _float32(value) for name, value in log.items()}


def make_row(
    obs: Row,
    reward: float = 0.0,
    *,
    is_first: bool = False,
    is_last: bool = False,
    is_terminal: bool = False,
) -> dict[str, np.ndarray | np.generic]:
    """Joins observations, reward and flags.

    Args:
      obs: Dict of observations.
      reward: Received on arriving here.
      is_first: Whether the episode begins here.
      is_last: Whether the episode has no further row.
      is_terminal: Whether the task ended here.

    Raises:
      EnvError: If the reward is too large for float32.
    """
    received = _float32(reward)
    if isinstance(received, np.float32) and np.isinf(received) and np.isfinite(reward):
        raise EnvError(
            f"'reward': {reward!r} is too large for float32, which agents learn from; divide "
            f"rewards by a constant"
        )
    return {
        **obs,
        "reward": received,
        "is_first": np.bool_(is_first),
        "is_last": np.bool_(is_last),
        "is_terminal": np.bool_(is_terminal),
    }


@np.errstate(all="ignore")  # The environment may have made errors of rounding.
def _float32(value):
    """A number as float32; what is none stays what it is, for the checks of the row."""
    try:
        return np.float32(value)
    except (TypeError, ValueError, OverflowError):
        return value
