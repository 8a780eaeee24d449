"""The interface of an environment, and what every simulator behind it shares."""

import abc
import contextlib
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamer_tf.envs.errors import EnvAbandoned, EnvDied, EnvError
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
        except (TypeError, ValueError, RuntimeError) as error:
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
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return value


# ---- What observations and actions look like from outside: nested dicts, arrays, and neither. A
# path is the tuple of a user's own keys from the outermost Dict to an entry; its key here is the
# same joined with slashes, so ("robot", "arm") and ("robot/arm",) are both robot/arm.


def key_of(path: Sequence[Any]) -> str:
    """The key of a path."""
    return "/".join(map(str, path))


def get_entry(values: Any, path: Sequence[Any]) -> Any:
    """What nested dicts hold at a path.

    Raises:
      EnvError: If they hold nothing there.
    """
    for depth, part in enumerate(path):
        if not isinstance(values, Mapping):
            where = f" at {key_of(path[:depth])!r}" if depth else ""
            raise EnvError(
                f"{key_of(path)!r}: expected a dict with the key {part!r}{where}, as the space "
                f"declares; got {describe(values)}. Return what the space declares, or declare "
                f"what is returned"
            )
        if part not in values:
            raise EnvError(
                f"{key_of(path)!r}: the observation does not hold it, only "
                f"{', '.join(repr(key) for key in values) or 'nothing'}. Return all that the space "
                f"declares, or take it out of the space"
            )
        values = values[part]
    return values


def set_entry(values: dict[Any, Any], path: Sequence[Any], value: Any) -> None:
    """Puts a value into nested dicts at a path."""
    *parents, last = path
    for part in parents:
        values = values.setdefault(part, {})
    values[last] = value


def to_array(key: str, value: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A returned value as an array of numbers.

    Arrays of objects that are numbers, as rows of a table are, become arrays of these.

    Args:
      key: Names it in messages.
      value: What the environment returned.
      shape: The one that is declared; None: any.

    Raises:
      EnvError: If it is no array of that shape; says what it is.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # Entries of different shapes.
        array = None
    except (EnvAbandoned, EnvDied):
        raise
    except Exception as error:  # Of a tensor on a GPU, say, or of one that requires a gradient.
        raise EnvError(
            f"{key!r}: expected an array, got an object of the class {type(value).__name__}, which "
            f"NumPy makes none of ({type(error).__name__}: {error})"
        ) from error
    if array is not None and array.dtype == object:
        array = _numbers(array)
    if array is None or array.dtype.kind not in "biufcSUmM":
        wanted = "a number or an array" if shape is None else f"numbers of shape {shape}"
        raise EnvError(
            f"{key!r}: expected {wanted}, as the space declares; got {describe(value)}. Return "
            f"what the space declares, or declare what is returned"
        )
    if shape is not None and array.shape != shape:
        raise EnvError(f"{key!r}: expected shape {shape}, got {array.shape}")
    return array


def _numbers(array):
    """An array of objects as int64 or float64; None if there is anything but real numbers in it."""
    if not array.size or not all(isinstance(x, numbers.Real | np.bool_) for x in array.flat):
        return None
    if all(isinstance(x, numbers.Integral | np.bool_) for x in array.flat):
        with contextlib.suppress(OverflowError):
            return array.astype(np.int64)
    try:
        return array.astype(np.float64)
    except OverflowError:
        return None


def describe(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, Mapping):
        return f"a dict with the keys {', '.join(repr(key) for key in value) or '(none)'}"
    if value is None or isinstance(value, bool | int | float):
        return f"{value!r}"
    if isinstance(value, str | bytes):
        return f"the text {value[:40]!r}"
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, list | tuple | np.ndarray):
        name = type(value).__name__
        try:
            array = np.asarray(value)
        except ValueError:
            return f"a ragged {name}: its {len(value)} entries have different shapes"
        except (TypeError, RuntimeError):  # Of tensors of which NumPy makes no array.
            return f"a {name} of {_classes(value)}"
        if array.dtype == object:
            kinds = _classes(array.flat)
            if isinstance(value, np.ndarray):
                return f"an array of dtype object of shape {array.shape}, of {kinds or 'nothing'}"
            return f"a {name} of {kinds}"
        return f"a {name} of shape {array.shape}"
    return f"an object of the class {type(value).__name__}"


def _classes(entries):
    return ", ".join(sorted({type(entry).__name__ for entry in entries}))
