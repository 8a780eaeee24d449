"""What the page sends, looked at before it is used."""

import math

import numpy as np

from dreamer_tf.apps.dream.errors import RequestError

BIGGEST = 2**31 - 1
_SHOWN = 60


def fields(body, required, optional=()):
    """A JSON body as a dict with these keys and no others.

    Raises:
      RequestError: If it is something else.
    """
    if not isinstance(body, dict):
        raise RequestError(f"expected a JSON object, got {_shown(body)}")
    missing = [key for key in required if key not in body]
    unknown = [key for key in body if key not in {*required, *optional}]
    if missing or unknown:
        raise RequestError(
            f"expected the keys {', '.join(required)}"
            + (f" and perhaps {', '.join(optional)}" if optional else "")
            + f"; got {', '.join(map(_shown, body)) or 'none'}"
        )
    return body


def integer(value, name, low, high):
    """A whole number between two bounds.

    Raises:
      RequestError: If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(
            f"{name}: expected a whole number from {low} to {high}, got {_shown(value)}"
        )
    return value


def one_of(value, name, allowed):
    """One of some words.

    Raises:
      RequestError: If it is something else.
    """
    if value not in allowed:
        raise RequestError(f"{name}: expected one of {', '.join(allowed)}; got {_shown(value)}")
    return value


def action(value, spaces):
    """An action as the environment takes it.

    Args:
      value: JSON: an object of action key to the list of its elements.
      spaces: Dict of action key to `Space`.

    Returns:
      Dict of action key to array ``[*shape]``.

    Raises:
      RequestError: If it is no element of these spaces.
    """
    fields(value, list(spaces))
    return {key: _elements(value[key], f"action {key!r}", space) for key, space in spaces.items()}


def _elements(value, name, space):
    size = math.prod(space.shape)
    whole = space.is_discrete
    kind = "whole numbers" if whole else "numbers"
    if not isinstance(value, list) or len(value) != size:
        raise RequestError(f"{name}: expected a list of {size} {kind}, got {_shown(value)}")
    kinds = int if whole else int | float
    for index, (x, low, high) in enumerate(
        zip(value, space.low.flat, space.high.flat, strict=True)
    ):
        if isinstance(x, bool) or not isinstance(x, kinds) or not low <= x <= high:
            raise RequestError(
                f"{name}, element {index}: expected one of the {kind} from {low:g} to {high:g}, "
                f"got {_shown(x)}"
            )
    return np.array(value, space.dtype).reshape(space.shape)


def _shown(value):
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
