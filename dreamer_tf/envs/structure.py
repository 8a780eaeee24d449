"""What observations and actions look like from outside: nested dicts, arrays, and what is neither.

A *path* is the tuple of a user's own keys from the outermost Dict to an entry; its *key* here is
the same joined with slashes, so ``("robot", "arm")`` and ``("robot/arm",)`` are both ``robot/arm``.
"""

import collections.abc
import contextlib
import numbers

import numpy as np

from dreamer_tf.envs.errors import EnvError


def key_of(path):
    """The key of a path."""
    return "/".join(map(str, path))


def get_entry(values, path):
    """What nested dicts hold at a path.

    Raises:
      EnvError: If they hold nothing there.
    """
    for depth, part in enumerate(path):
        if not isinstance(values, collections.abc.Mapping):
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


def set_entry(values, path, value):
    """Puts a value into nested dicts at a path."""
    *parents, last = path
    for part in parents:
        values = values.setdefault(part, {})
    values[last] = value


def to_array(key, value, shape=None):
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


def describe(value):
    """What a value is, in words."""
    if isinstance(value, collections.abc.Mapping):
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
        if array.dtype == object:
            kinds = ", ".join(sorted({type(entry).__name__ for entry in array.flat}))
            if isinstance(value, np.ndarray):
                return f"an array of dtype object of shape {array.shape}, of {kinds or 'nothing'}"
            return f"a {name} of {kinds}"
        return f"a {name} of shape {array.shape}"
    return f"an object of the class {type(value).__name__}"
