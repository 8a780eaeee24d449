"""Arrays as JSON values."""

import base64
import math

import numpy as np


def number(value):
    """A float, or None where JSON has no word for it: NaN and infinity of a model gone wrong."""
    value = float(value)
    return value if math.isfinite(value) else None


def numbers(mapping):
    """Dict of name to `number`."""
    return {key: number(value) for key, value in mapping.items()}


def observation(value, space):
    """An observation: the bytes of an image in base64, all others as a list of numbers.

    Args:
      value: Array ``[*shape]``.
      space: Its `Space`.
    """
    if space.is_image:
        return base64.b64encode(np.ascontiguousarray(value, np.uint8).tobytes()).decode("ascii")
    return flat(value)


def flat(value):
    """The elements of an array as a list of numbers: whole ones of whole kinds, flags 0 and 1."""
    elements = np.asarray(value).reshape(-1)
    return [number(x) if elements.dtype.kind == "f" else int(x) for x in elements]


def seen(space):
    """What the page must know of the `Space` of an observation."""
    return {"shape": list(space.shape), "is_image": space.is_image}


def done(space):
    """What the page must know of the `Space` of an action: also the range of each element."""
    return {
        "is_discrete": space.is_discrete,
        "low": flat(space.low),
        "high": flat(space.high),
    }
