"""Turns spaces and values of gymnasium and gym into ours, and actions back.

A codec holds our ``space`` for one key and converts its values. Both packages name their spaces
alike, so neither needs to be imported: the class name tells.
"""

import logging
import re
import shlex

import numpy as np

from dreamer_tf.envs.base import key_of, to_array
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.pictures import SMALLEST_PICTURE, ImageCodec, is_picture
from dreamer_tf.specs import Space

logger = logging.getLogger(__name__)

_KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict")
_PACKAGES = ("gymnasium", "gym")
ALL_KEYS = ".*"
"""The pattern that leaves no observation out."""
UNBOUNDED = 1e9
"""A bound beyond it stands for none: 1e10 of MuJoCo's, say, or the largest number of a dtype."""
_MANY_CATEGORIES, _MOST_CATEGORIES = 1_000, 100_000  # Of an observation or action in all.
_EXACT = 2**24  # float32 holds every integer up to here, and above it fewer and fewer.
_ROUNDING, _EPSILON = 1e-3, 1e-6  # Of an action's range, as in 16 bits, and of itself.


def kind_of(space, key):
    """The name of the gymnasium or gym class that a space is made of.

    Raises:
      EnvError: If it is none of the supported ones.
    """
    for ancestor in type(space).__mro__:
        package = ancestor.__module__.partition(".")[0]
        if package in _PACKAGES and ancestor.__name__ in _KINDS:
            return ancestor.__name__
    name = type(space).__name__
    hint = "; use a Dict with named entries instead" if name == "Tuple" else ""
    raise EnvError(f"{key!r}: supported spaces are {', '.join(_KINDS)}; got {name}{hint}")


@np.errstate(all="ignore")  # Bounds may be too large for float32, or too small.
def observation_codecs(space, image_size, keys=ALL_KEYS):
    """Codecs for everything that an observation space holds.

    Empty boxes are left out with a notice, as is what ``keys`` does not name.

    Args:
      space: Space of gymnasium or gym; entries of nested Dicts get keys such as ``robot/arm``.
      image_size: Height and width that images are resized to, or None to keep theirs.
      keys: Regular expression that the whole key of an observation must match.

    Returns:
      Dict of key to codec, each with the ``path`` of what it encodes. What is not in a Dict gets
      the key ``image`` or ``vector``.

    Raises:
      EnvError: With everything that cannot be used.
    """

    def name_of(leaf):
        kind = kind_of(leaf, "observation")
        return "image" if kind == "Box" and is_picture(leaf, image_size) else "vector"

    leaves = _leaves(space, name_of)
    chosen = selected(leaves, keys)
    codecs, problems = {}, []
    for key, (path, leaf) in chosen.items():
        if _is_empty(leaf):
            logger.warning("%r: it is empty, a space without elements, and left out", key)
            continue
        try:
            codecs[key] = _observation_codec(key, leaf, image_size)
            codecs[key].path = path
            if key.endswith("action_mask"):
                logger.warning(
                    "%r: a mask of actions is observed, and no more than that: agents also take "
                    "what it rules out, which must not raise",
                    key,
                )
        except EnvError as error:
            problems += error.problems
    if problems:
        usable = "|".join(map(re.escape, codecs))
        hint = f"; --env.keys {shlex.quote(usable)} leaves it out" if usable else ""
        raise EnvError(*(problem + hint for problem in problems))
    if not codecs:
        raise EnvError("the observation space is empty: expected something to observe")
    return codecs


def selected(known, pattern):
    """The entries of a dict whose whole keys match a pattern; tells which are left out.

    Raises:
      EnvError: If the pattern is none, or matches nothing.
    """
    try:
        chosen = {key: value for key, value in known.items() if re.fullmatch(pattern, key, re.S)}
    except re.error as error:
        raise EnvError(
            f"env.keys: expected a regular expression, such as 'image|speed'; got {pattern!r} "
            f"({error})"
        ) from error
    for key in known if chosen else ():
        if key not in chosen:
            logger.warning("%r: left out, because env.keys is %r", key, pattern)
    if known and not chosen:
        names = ", ".join(map(repr, known))
        raise EnvError(f"env.keys: {pattern!r} matches none of the observations {names}")
    return chosen


@np.errstate(all="ignore")
def action_codecs(space):
    """Codecs for everything that an action space holds; what is not in a Dict is ``action``.

    Returns:
      Dict of key to codec, each with the ``path`` of what it decodes; empty boxes have
      a `NoAction`, whose space is None.

    Raises:
      EnvError: With everything that cannot be used.
    """
    codecs, problems = {}, []
    for key, (path, leaf) in _leaves(space, lambda leaf: "action").items():
        try:
            codecs[key] = _action_codec(key, leaf)
            codecs[key].path = path
        except EnvError as error:
            problems += error.problems
    if problems:
        raise EnvError(*problems)
    if all(codec.space is None for codec in codecs.values()):
        raise EnvError("the action space is empty: expected something to decide")
    return codecs


class VectorCodec:
    """Numbers of any shape and dtype as one float32 vector."""

    def __init__(self, key, box):
        self._key, self._shape = key, tuple(box.shape)
        self._is_told = False
        size = int(np.prod(self._shape))
        low, high = (np.reshape(bound, size).astype(np.float32) for bound in (box.low, box.high))
        self.space = Space(np.float32, (size,), low, high)
        if len(self._shape) > 1:
            shape = "x".join(map(str, self._shape))
            logger.warning(
                "%r: numbers of shape %s are used as a vector of %d; images must be uint8 of two "
                "to four dimensions, height and width at least %d",
                *(key, shape, size, SMALLEST_PICTURE),
            )

    def encode(self, value):
        """Converts an observation."""
        value = to_array(self._key, value, self._shape)
        if value.dtype.kind not in "biuf":
            raise EnvError(f"{self._key!r}: expected numbers, got dtype {value.dtype}")
        if value.dtype == np.float32 or value.dtype.itemsize <= 2:  # All are held exactly.
            return value.astype(np.float32).reshape(-1)
        with np.errstate(all="ignore"):  # The environment may have made errors of rounding.
            encoded = value.astype(np.float32).reshape(-1)
            sizes = np.abs(encoded)
            if sizes.max() > _EXACT:
                self._tell_of_large(value.reshape(-1), sizes)
        return encoded

    def _tell_of_large(self, value, sizes):
        """Numbers that float32 cannot hold are told once, and refused where they are too large."""
        largest = value[np.argmax(sizes)].item()
        if (np.isinf(sizes) & np.isfinite(value)).any():
            raise EnvError(
                f"{self._key!r}: {largest!r} is too large for float32, which agents see; divide "
                f"it by a constant, or leave it out by env.keys"
            )
        if not self._is_told and np.isfinite(largest):
            self._is_told = True
            logger.warning(
                "%r: small changes of numbers such as %r are lost in float32, which agents see: it "
                "holds integers up to %d; subtract an origin, or scale them. Told once",
                *(self._key, largest, _EXACT),
            )


class OneHotCodec:
    """Categories as one-hot vectors, several of them one after another."""

    def __init__(self, key, classes, start):
        self._key = key
        self._classes, self._start = classes.reshape(-1), start.reshape(-1)
        self._offsets = np.cumsum(self._classes) - self._classes
        self.space = Space(np.float32, (int(self._classes.sum()),), 0, 1)

    def encode(self, value):
        """Converts an observation."""
        index = to_array(self._key, value)
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
        self._key, self._is_told = key, False
        self._low, self._high = (np.asarray(bound, np.float64) for bound in (box.low, box.high))
        if not (np.abs([self._low, self._high]) <= UNBOUNDED).all():
            raise EnvError(
                f"{key!r}: an action needs finite bounds to be normalised, got "
                f"{self._low.tolist()} to {self._high.tolist()}; what lies beyond {UNBOUNDED:g} "
                f"counts as no bound"
            )
        if (self._low > self._high).any():
            raise EnvError(
                f"{key!r}: expected bounds from low to high, got {self._low.tolist()} to "
                f"{self._high.tolist()}; exchange them where low is above high"
            )
        self._dtype = np.dtype(box.dtype)
        self._counts = self._dtype.kind in "biu"
        self.space = Space(np.float32, (self._low.size,), -1, 1)
        native = np.int32 if self._counts else np.float32
        self.native_space = Space(native, self._low.shape, self._low, self._high)

    def encode(self, action):
        """Converts their action to ours; what lies beyond the bounds is cut, and told once."""
        action = np.asarray(action, np.float64).reshape(self._low.shape)
        span = self._high - self._low
        self._tell_if_cut(action, _ROUNDING * span + _EPSILON * np.abs(action))
        share = np.divide(action - self._low, span, out=np.zeros_like(span), where=span > 0)
        return np.clip(2 * share - 1, -1, 1).astype(np.float32).reshape(-1)

    def _tell_if_cut(self, action, tolerance):
        beyond = (action < self._low - tolerance) | (action > self._high + tolerance)
        if self._is_told or not beyond.any():
            return
        self._is_told = True
        logger.warning(
            "%r: actions from %g to %g leave %s; they are cut there, so that others are learned of "
            "than were taken; declare the bounds that they had. Told once",
            *(self._key, action.min(), action.max(), self.native_space),
        )

    def decode(self, action):
        """Converts our action to theirs."""
        action = np.asarray(action, np.float64).reshape(self._low.shape)
        value = self._low + (action + 1) / 2 * (self._high - self._low)
        if self._counts:
            value = np.rint(value)
        # Rounding must not carry an action over its bound.
        return np.asarray(np.clip(value, self._low, self._high), self._dtype)


class CategoryAction:
    """One category (Discrete), or several (MultiDiscrete, MultiBinary), counted from zero."""

    def __init__(self, key, kind, space):
        self._key = key
        classes, self._start = _categories(key, kind, space)
        self._shape = classes.shape
        high = classes.reshape(-1) - 1 if classes.ndim else classes - 1
        self.space = Space(np.int32, high.shape, 0, high)
        start = np.broadcast_to(self._start, self._shape)
        try:
            self.native_space = Space(np.int32, self._shape, start, start + classes - 1)
        except ValueError as error:
            raise EnvError(f"{key!r}: {error}; let the categories start at 0") from error
        self._dtype = np.dtype(space.dtype)

    def encode(self, action):
        """Converts their action to ours; raises `EnvError` for numbers between classes."""
        action = np.asarray(action)
        if not np.array_equal(action, np.rint(action)):
            raise EnvError(
                f"{self._key!r}: expected whole numbers, the classes of {self.native_space}; got "
                f"{action.tolist()}"
            )
        return np.reshape(action - self._start, self.space.shape).astype(np.int32)

    def decode(self, action):
        """Converts our action to theirs."""
        return self._dtype.type(np.reshape(action, self._shape) + self._start)


class NoAction:
    """An empty box: there is nothing to decide, and the environment gets its empty array."""

    space = native_space = None

    def __init__(self, key, space):
        self._value = np.zeros(space.shape, space.dtype)
        logger.warning("%r: the action is empty, a space without elements, and left out", key)

    def decode(self, action):
        """The empty array."""
        return self._value.copy()


def _observation_codec(key, space, image_size):
    kind = kind_of(space, key)
    if kind != "Box":
        if kind == "MultiBinary":
            return VectorCodec(key, _BinaryBox(space))
        return OneHotCodec(key, *_categories(key, kind, space))
    if is_picture(space, image_size):
        return ImageCodec(key, space, image_size)
    return VectorCodec(key, space)


def _action_codec(key, space):
    kind = kind_of(space, key)
    if _is_empty(space):
        return NoAction(key, space)
    return BoxAction(key, space) if kind == "Box" else CategoryAction(key, kind, space)


def _is_empty(space):
    return 0 in (getattr(space, "shape", None) or ())


class _BinaryBox:
    """The bounds of a MultiBinary space."""

    def __init__(self, space):
        self.shape = tuple(space.shape)
        self.low, self.high = np.zeros(self.shape), np.ones(self.shape)


def _leaves(space, name_of):
    """Dict of key to path and space of everything inside; ``name_of`` names what is in no Dict."""
    if not _is_dict(space):
        return {name_of(space): ((), space)}
    leaves = {}
    for path, leaf in _dict_leaves(space, ()):
        key = key_of(path)
        if key in leaves:
            raise EnvError(
                f"{key!r}: both {leaves[key][0]} and {path} are called so; rename one of them"
            )
        leaves[key] = (path, leaf)
    return leaves


def _dict_leaves(space, path):
    for key, entry in space.spaces.items():
        if _is_dict(entry):
            yield from _dict_leaves(entry, (*path, key))
        else:
            yield (*path, key), entry


def _is_dict(space):
    return any(
        ancestor.__name__ == "Dict" and ancestor.__module__.partition(".")[0] in _PACKAGES
        for ancestor in type(space).__mro__
    )


def _categories(key, kind, space):
    """Number of categories and first category of each element.

    Raises:
      EnvError: If there are too many for networks, which have a number for each.
    """
    if kind == "MultiBinary":
        counts = np.full(space.shape, 2)
    else:
        counts = space.n if kind == "Discrete" else space.nvec
    total = np.sum(counts, dtype=np.float64)  # int64 may not hold it.
    if total > _MOST_CATEGORIES:
        raise EnvError(
            f"{key!r}: expected at most {_MOST_CATEGORIES:,} categories in all, got {total:,.0f}: "
            f"networks have a number for each; divide them into several of fewer, as digits "
            f"(MultiDiscrete), or use a Box"
        )
    if total > _MANY_CATEGORIES:
        logger.warning(
            "%r: %d categories, each of them a number in the networks; digits (MultiDiscrete) or a "
            "Box need fewer",
            *(key, total),
        )
    classes = _int_array(counts)
    return classes, np.broadcast_to(_int_array(getattr(space, "start", 0)), classes.shape)


def _int_array(value):
    return np.asarray(value, np.int64)
