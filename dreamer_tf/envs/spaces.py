"""Turns spaces and values of gymnasium and gym into ours, and actions back.

A codec holds our ``space`` for one key and converts its values. Both packages name their spaces
alike, so neither needs to be imported: the class name tells.
"""

import logging

import numpy as np

from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.images import ImageCodec
from dreamer_tf.specs import Space

logger = logging.getLogger(__name__)

_KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict")


def kind_of(space, key):
    """The name of the gymnasium or gym class that a space is made of.

    Raises:
      EnvError: If it is none of the supported ones.
    """
    for ancestor in type(space).__mro__:
        package = ancestor.__module__.partition(".")[0]
        if package in ("gymnasium", "gym") and ancestor.__name__ in _KINDS:
            return ancestor.__name__
    name = type(space).__name__
    hint = "; use a Dict with named entries instead" if name == "Tuple" else ""
    raise EnvError(f"{key!r}: supported spaces are {', '.join(_KINDS)}; got {name}{hint}")


def observation_codecs(space, image_size):
    """Codecs for everything that an observation space holds.

    Args:
      space: Space of gymnasium or gym; entries of nested Dicts get keys such as ``robot/arm``.
      image_size: Height and width that images are resized to, or None to keep theirs.

    Returns:
      Dict of key to codec. What is not in a Dict gets the key ``image`` or ``vector``.
    """
    return {
        key: _observation_codec(key, leaf, image_size)
        for key, leaf in _leaves(space, lambda leaf: "image" if _is_image(leaf) else "vector")
    }


def action_codecs(space):
    """Codecs for everything that an action space holds; what is not in a Dict is ``action``."""
    codecs = {}
    for key, leaf in _leaves(space, lambda leaf: "action"):
        kind = kind_of(leaf, key)
        codecs[key] = BoxAction(key, leaf) if kind == "Box" else CategoryAction(kind, leaf)
    return codecs


def get_path(values, key, *, nested):
    """What a nested dict holds at a joined key such as ``robot/arm``.

    Raises:
      EnvError: If it holds nothing there.
    """
    for part in key.split("/") if nested else ():
        if part not in values:
            raise EnvError(f"{key!r}: the observation does not hold it, only {sorted(values)}")
        values = values[part]
    return values


def set_path(values, key, value):
    """Puts a value into a nested dict at a joined key."""
    *parents, last = key.split("/")
    for part in parents:
        values = values.setdefault(part, {})
    values[last] = value


class VectorCodec:
    """Numbers of any shape and dtype as one float32 vector."""

    def __init__(self, key, box):
        self._key, self._shape = key, tuple(box.shape)
        size = int(np.prod(self._shape))
        low, high = (np.reshape(bound, size).astype(np.float32) for bound in (box.low, box.high))
        self.space = Space(np.float32, (size,), low, high)
        if len(self._shape) > 1:
            shape = "x".join(map(str, self._shape))
            logger.warning(
                "%r: numbers of shape %s are used as a vector of %d; images must be uint8 of two "
                "or three dimensions",
                *(key, shape, size),
            )

    def encode(self, value):
        """Converts an observation."""
        value = np.asarray(value)
        if value.shape != self._shape:
            raise EnvError(f"{self._key!r}: expected shape {self._shape}, got {value.shape}")
        if value.dtype.kind not in "biuf":
            raise EnvError(f"{self._key!r}: expected numbers, got dtype {value.dtype}")
        return value.astype(np.float32).reshape(-1)


class OneHotCodec:
    """Categories as one-hot vectors, several of them one after another."""

    def __init__(self, key, classes, start):
        self._key = key
        self._classes, self._start = classes.reshape(-1), start.reshape(-1)
        self._offsets = np.cumsum(self._classes) - self._classes
        self.space = Space(np.float32, (int(self._classes.sum()),), 0, 1)

    def encode(self, value):
        """Converts an observation."""
        index = np.asarray(value)
        if index.dtype.kind not in "biu" or index.size != self._classes.size:
            raise EnvError(
                f"{self._key!r}: expected {self._classes.size} integer categories, "
                f"got {index.dtype} of shape {index.shape}"
            )
        index = index.reshape(-1).astype(np.int64) - self._start
        if (index < 0).any() or (index >= self._classes).any():
            raise EnvError(
                f"{self._key!r}: expected categories from {self._start.tolist()}, as many as "
                f"{self._classes.tolist()}; got {np.asarray(value).tolist()}"
            )
        encoded = np.zeros(self.space.shape, np.float32)
        encoded[self._offsets + index] = 1
        return encoded


class BoxAction:
    """A bounded box, normalised to the range from -1 to 1 in every element."""

    def __init__(self, key, box):
        self._low, self._high = (np.asarray(bound, np.float64) for bound in (box.low, box.high))
        if not (np.isfinite(self._low).all() and np.isfinite(self._high).all()):
            raise EnvError(
                f"{key!r}: an action needs finite bounds to be normalised, got "
                f"{self._low.tolist()} to {self._high.tolist()}"
            )
        self._dtype = np.dtype(box.dtype)
        self.space = Space(np.float32, (self._low.size,), -1, 1)
        counts = self._dtype.kind in "iu" and np.abs([self._low, self._high]).max() < 2**31
        native = np.int32 if counts else np.float32
        self.native_space = Space(native, self._low.shape, self._low, self._high)

    def decode(self, action):
        """Converts our action to theirs."""
        action = np.asarray(action, np.float64).reshape(self._low.shape)
        value = self._low + (action + 1) / 2 * (self._high - self._low)
        if self._dtype.kind in "iu":
            value = np.rint(value)
        # Rounding must not carry an action over its bound.
        return np.clip(value, self._low, self._high).astype(self._dtype)


class CategoryAction:
    """One category (Discrete), or several (MultiDiscrete, MultiBinary), counted from zero."""

    def __init__(self, kind, space):
        classes, self._start = _categories(kind, space)
        self._shape = classes.shape
        high = classes.reshape(-1) - 1 if classes.ndim else classes - 1
        self.space = Space(np.int32, high.shape, 0, high)
        start = np.broadcast_to(self._start, self._shape)
        self.native_space = Space(np.int32, self._shape, start, start + classes - 1)
        self._dtype = np.dtype(space.dtype)

    def decode(self, action):
        """Converts our action to theirs."""
        return self._dtype.type(np.reshape(action, self._shape) + self._start)


def _observation_codec(key, space, image_size):
    kind = kind_of(space, key)
    if kind != "Box":
        if kind == "MultiBinary":
            return VectorCodec(key, _BinaryBox(space))
        return OneHotCodec(key, *_categories(kind, space))
    if _is_image(space):
        return ImageCodec(key, tuple(space.shape), image_size)
    return VectorCodec(key, space)


class _BinaryBox:
    """The bounds of a MultiBinary space."""

    def __init__(self, space):
        self.shape = tuple(space.shape)
        self.low, self.high = np.zeros(self.shape), np.ones(self.shape)


def _is_image(space):
    return np.dtype(space.dtype or object) == np.uint8 and len(space.shape) in (2, 3)


def _leaves(space, name_of):
    """Keys and spaces of everything inside; ``name_of`` names what is not in a Dict."""
    if _is_dict(space):
        return list(_dict_leaves(space, ""))
    kind_of(space, "space")
    return [(name_of(space), space)]


def _dict_leaves(space, prefix):
    for key, entry in space.spaces.items():
        if _is_dict(entry):
            yield from _dict_leaves(entry, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", entry


def _is_dict(space):
    return kind_of(space, "space") == "Dict"


def _categories(kind, space):
    """Number of categories and first category of each element."""
    if kind == "Discrete":
        return _int_array(space.n), _int_array(getattr(space, "start", 0))
    if kind == "MultiDiscrete":
        classes = _int_array(space.nvec)
        return classes, np.broadcast_to(_int_array(getattr(space, "start", 0)), classes.shape)
    return np.full(space.shape, 2), np.zeros(space.shape, np.int64)


def _int_array(value):
    return np.asarray(value, np.int64)
