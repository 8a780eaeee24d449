"""What arrays mean everywhere in this project: spaces, reserved keys, shapes, and time.

Shape legend, used by every docstring::

    B  batch                  A  action size            D  deterministic state (deter)
    T  time in a sequence     E  embedding              F  feature = stoch and deter together
    H  imagination horizon    S  stochastic state       K  classes of a categorical

Public tensors are ``[B, T, ...]``; inside behaviours, imagined ones are ``[H, N, ...]`` with
``N = B * T`` start states, and the code there says so.

The one time alignment. A *row* of experience is what one arrival at an observation brings: the
action that led to it, the observation, and the reward received on arriving::

    row          0          1          2                  n
    action       0          a_0        a_1      ...       a_{n-1}      led to the observation
    observation  o_0        o_1        o_2      ...       o_n
    reward       0          r_1        r_2      ...       r_n          received on arriving
    is_first     1          0          0        ...       0
    is_last      0          0          0        ...       1            no further row
    is_terminal  0          0          0        ...       0 or 1       1: the task ended there
                                                                       0: it was only cut off

So ``action[t]`` and ``o_t`` enter the model together, and the reward head at ``t`` predicts the
reward for *arriving* there. An episode of n environment interactions has n + 1 rows.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

RESERVED_KEYS = ("reward", "is_first", "is_last", "is_terminal")
"""Row keys that no observation or action may use."""

FLAG_KEYS = ("is_first", "is_last", "is_terminal")

LOG_PREFIX = "log_"
"""How the keys begin with which an environment tells the log something about an episode.

They stand in its last row, numbers that neither the agent nor the replay gets to see.
"""


Row = Mapping[str, np.ndarray | np.generic]
"""A row of experience, or some of its keys."""


@dataclasses.dataclass(frozen=True, init=False)
class Space:
    """The arrays that one observation or action key can hold.

    Attributes:
      dtype: ``uint8`` (images), ``float32`` (vectors), ``int32`` (categories) or ``bool``.
      shape: Shape of one element, without batch or time.
      low: Smallest value, an array of ``shape``; ``-inf`` where unbounded.
      high: Largest value, inclusive, an array of ``shape``; ``inf`` where unbounded.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray

    def __init__(
        self,
        dtype: DTypeLike,
        shape: Sequence[int] = (),
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
    ) -> None:
        """Describes the arrays.

        Args:
          dtype: As the attribute, or its name.
          shape: Shape of one element, without batch or time.
          low: Smallest value, one number or one for each entry; None: that of the dtype.
          high: Largest value, inclusive, likewise.

        Raises:
          ValueError: If the dtype is another one, or does not hold a bound.
        """
        dtype = np.dtype(dtype)
        if dtype not in _LIMITS:
            known = ", ".join(str(d) for d in _LIMITS)
            raise ValueError(f"a space holds one of {known}; got {dtype}")
        smallest, largest = _LIMITS[dtype]
        shape = tuple(int(size) for size in shape)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)
        for name, bound, limit in (("low", low, smallest), ("high", high, largest)):
            bound = _held(name, limit if bound is None else bound, dtype)
            object.__setattr__(self, name, np.broadcast_to(bound, shape))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Space)
            and (self.dtype, self.shape) == (other.dtype, other.shape)
            and np.array_equal(self.low, other.low)
            and np.array_equal(self.high, other.high)
        )

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape))

    def __repr__(self) -> str:
        def bound(value):
            if value.size and (value == value.flat[0]).all():
                return f"{value.flat[0]:g}"
            return str(value.tolist()) if value.size <= _SHOWN else "…"

        return f"Space({self.dtype}, {self.shape}, {bound(self.low)} to {bound(self.high)})"

    def is_like(self, other: "Space") -> bool:
        """Whether the arrays of both are of one kind, whatever the bounds of numbers."""
        if (self.dtype, self.shape) != (other.dtype, other.shape):
            return False
        return not self.is_discrete or np.array_equal(self.high, other.high)

    @property
    def is_image(self) -> bool:
        """Whether this is a ``[height, width, channels]`` image of bytes."""
        return self.dtype == np.uint8 and len(self.shape) == 3

    @property
    def is_discrete(self) -> bool:
        """Whether the values are categories counted from zero."""
        return self.dtype == np.int32

    @property
    def classes(self) -> np.ndarray:
        """Number of categories of each element (discrete spaces), an array of ``shape``."""
        if not self.is_discrete:
            raise TypeError(f"only a discrete space has classes, this is {self}")
        return self.high + 1

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Draws one element uniformly between the bounds.

        Args:
          rng: A ``numpy.random.Generator``.

        Raises:
          ValueError: If a bound is infinite.
        """
        if self.dtype == np.float32:
            if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
                raise ValueError(f"cannot draw uniformly from the unbounded {self}")
            return rng.uniform(self.low, self.high, self.shape).astype(np.float32)
        low, high = self.low.astype(np.int64), self.high.astype(np.int64)
        return np.asarray(rng.integers(low, high, self.shape, endpoint=True)).astype(self.dtype)

    def convert(self, key: str, value: ArrayLike) -> np.ndarray:
        """An array in this dtype, whatever its shape.

        Raises:
          ValueError: If bytes, integers or bools would not be what they were.
        """
        array = np.asarray(value)
        converted = array.astype(self.dtype, copy=False)
        exact = self.dtype == np.float32 or array.dtype == self.dtype
        if not exact and (array.dtype.kind not in "biu" or (converted != array).any()):
            span = f" from {array.min()} to {array.max()}" if array.size else ""
            raise ValueError(f"{key!r}: expected {self.dtype}, got {array.dtype}{span}")
        return converted

    def check(self, key: str, value: ArrayLike) -> None:
        """Raises an error naming ``key`` unless ``value`` is an element of this space.

        Raises:
          TypeError: Wrong dtype.
          ValueError: Wrong shape, NaN or infinite, or out of bounds.
        """
        value = np.asarray(value)
        if value.dtype != self.dtype:
            raise TypeError(f"{key!r}: expected {self}, got dtype {value.dtype}")
        if value.shape != self.shape:
            raise ValueError(f"{key!r}: expected {self}, got shape {value.shape}")
        if self.dtype == np.float32 and not np.isfinite(value).all():
            kind = "NaN" if np.isnan(value).any() else "an infinite value"
            raise ValueError(f"{key!r}: expected finite values in {self}, got {kind}")
        if (value < self.low).any() or (value > self.high).any():
            got = f"{value.min()} to {value.max()}"
            raise ValueError(f"{key!r}: expected values in {self}, got values from {got}")


_SHOWN = 6
_LIMITS = {
    np.dtype(np.uint8): (0, 255),
    np.dtype(np.float32): (-np.inf, np.inf),
    np.dtype(np.int32): (0, np.iinfo(np.int32).max),
    np.dtype(bool): (False, True),
}


def _held(name, bound, dtype):
    """A bound in the dtype of its space.

    Raises:
      ValueError: If it would be another number there.
    """
    given = np.asarray(bound)
    with np.errstate(all="ignore"):  # Of a float32 that is too large: it is unbounded.
        held = given.astype(dtype, copy=False)
    if dtype.kind != "f" and (held != given).any():
        wrong = given[held != given].flat[0]
        raise ValueError(f"{name}: expected a bound that {dtype} holds, got {wrong}")
    return held


STEP_SPACES = {
    "reward": Space(np.float32),
    **{key: Space(bool) for key in FLAG_KEYS},
}
"""Spaces of the reserved keys."""


def are_alike(spaces: Mapping[str, Space], others: Mapping[str, Space]) -> bool:
    """Whether two dicts of spaces have the same keys, of the same kind, see `Space.is_like`."""
    return spaces.keys() == others.keys() and all(spaces[k].is_like(others[k]) for k in spaces)


def row_spaces(obs_space: Mapping[str, Space], act_space: Mapping[str, Space]) -> dict[str, Space]:
    """Spaces of everything that one row holds.

    Args:
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.

    Raises:
      ValueError: If two groups claim the same key, or one a key that only the log reads.
    """
    groups = [("observation", obs_space), ("action", act_space), ("reserved", STEP_SPACES)]
    owner: dict[str, str] = {}
    spaces: dict[str, Space] = {}
    for name, group in groups:
        for key, space in group.items():
            if key.startswith(LOG_PREFIX):
                raise ValueError(f"the {name} key {key!r} begins with {LOG_PREFIX!r}, as log keys")
            if key in owner:
                raise ValueError(f"the {name} key {key!r} is already an {owner[key]} key")
            owner[key], spaces[key] = name, space
    return spaces


def space_to_json(space: Space) -> dict[str, Any]:
    """A `Space` as JSON values, infinite bounds as text."""
    return {
        "dtype": str(space.dtype),
        "shape": list(space.shape),
        "low": _encode_bound(space.low),
        "high": _encode_bound(space.high),
    }


def _encode_bound(bound):
    """A bound as text, which JSON needs for infinity: one if all are equal, else all."""
    values = [str(value) for value in bound.flat]
    return values[0] if len(set(values)) == 1 else values


def space_from_json(encoded: Mapping[str, Any]) -> Space:
    """The `Space` that `space_to_json` made JSON values of; further entries do not matter."""
    dtype, shape = np.dtype(encoded["dtype"]), tuple(encoded["shape"])
    low, high = (_decode_bound(encoded[name], dtype, shape) for name in ("low", "high"))
    return Space(dtype, shape, low, high)


def _decode_bound(bound, dtype, shape):
    if isinstance(bound, str):
        bound = [bound] * int(np.prod(shape))
    if dtype.kind == "b":
        return np.array([value == "True" for value in bound], bool).reshape(shape)
    # Text of integers beyond 2**53 would not survive as float64.
    number = float if dtype.kind == "f" else int
    return np.array([number(value) for value in bound], dtype).reshape(shape)
