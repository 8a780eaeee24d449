"""Whatever users bring as an environment: objects, functions and classes, and what is none."""

import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.gym_api import GymEnv, call
from dreamer_tf.envs.gym_vector import Vectorized, is_vectorized
from dreamer_tf.envs.selected import SelectedEnv
from dreamer_tf.envs.spaces import ALL_KEYS

_INNER = ("env", "_env", "gym_env")  # Where wrappers keep what they wrap.


def from_user(
    environment: Any | Callable[..., Any],
    *,
    action_repeat: int = 1,
    time_limit: int = 0,
    image_size: tuple[int, int] | None = (64, 64),
    keys: str = ALL_KEYS,
    kwargs: Mapping[str, Any] | None = None,
) -> Env:
    """Makes an `Env` of whatever a user brings.

    Args:
      environment: An environment that follows the gymnasium API (or gym's), a function or class
        that returns one, or an `Env`. An `Env` decides about action repeat, time limit and image
        size itself.
      action_repeat: Frames per step.
      time_limit: Frames until an episode is cut off; 0 for the environment's own limit only.
      image_size: Height and width that images are resized to; None keeps theirs.
      keys: Regular expression that the whole key of an observation must match; others are left
        out with a notice.
      kwargs: Dict of arguments of the function or class.

    Returns:
      An `Env` that checks what it returns.

    Raises:
      EnvError: If it is no environment, or one with spaces that are not supported.
    """
    kwargs = kwargs or {}
    if isinstance(environment, Vectorized):
        raise EnvError(
            "expected a single environment, got a Vectorized, which only training takes; check one "
            "of its environments instead: pass a function that makes one"
        )
    if not _is_environment(environment):
        if not callable(environment):
            raise EnvError(
                "an environment needs reset(), step(), observation_space and action_space, or "
                f"must be a function that returns one; got {type(environment).__name__}"
            )
        _check_arguments(environment, kwargs)
        environment = call(environment, **kwargs)
        if not _is_environment(environment):
            raise EnvError(
                "the constructor must return an environment with reset(), step(), "
                f"observation_space and action_space; got {type(environment).__name__}"
                f"{_lacking(environment)}"
            )
    elif kwargs:
        raise EnvError(
            f"env.kwargs: got {', '.join(kwargs)} for an environment object, which is made "
            f"already; pass the function or class that makes it"
        )
    if isinstance(environment, Env):
        return CheckedEnv(SelectedEnv.of(environment, keys))
    _check_single(environment)
    options = {
        "action_repeat": action_repeat,
        "time_limit": time_limit,
        "image_size": image_size,
        "keys": keys,
    }
    return CheckedEnv(GymEnv(_without_checker(environment), **options))


def _is_environment(value):
    methods = ("reset", "step")
    is_object = not isinstance(value, type) and all(hasattr(value, name) for name in methods)
    spaces = ("observation_space", "action_space")
    return is_object and (isinstance(value, Env) or all(hasattr(value, name) for name in spaces))


def _lacking(value):
    parts = ("reset", "step", "observation_space", "action_space")
    lacking = [name for name in parts if not hasattr(value, name)]
    return f", which lacks {', '.join(lacking)}" if len(lacking) < len(parts) else ""


def _check_arguments(constructor, kwargs):
    """Says which arguments a constructor takes, where it does not take these."""
    try:
        signature = inspect.signature(constructor)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        name = getattr(constructor, "__name__", type(constructor).__name__)
        raise EnvError(
            f"{name}{signature}: {error}; got "
            f"{', '.join(f'{key}={value!r}' for key, value in kwargs.items()) or 'no arguments'}. "
            f"Constructor arguments are given as --env.kwargs name=value, or from Python by a "
            f"function: lambda: {name}(…)"
        ) from error


def _check_single(environment):
    """Raises `EnvError` if these are several environments in one object."""
    name, count = type(environment).__name__, getattr(environment, "num_envs", None)
    if is_vectorized(environment):
        raise EnvError(
            f"{name} is a VectorEnv of {count} environments: say so by passing "
            f"dreamer_tf.envs.Vectorized(lambda: …), with the function that makes it"
        )
    # A single one may say that it is one.
    if isinstance(count, numbers.Integral) and (count != 1 or hasattr(environment, "step_async")):
        raise EnvError(
            f"{name} steps {count} environments at once, as a VecEnv of Stable-Baselines does: "
            f"pass a function that makes one of them, and set env.count to {count}; of those that "
            f"step together, gymnasium's VectorEnv is supported, with single_observation_space and "
            f"single_action_space"
        )


def _without_checker(environment):
    """The environment without gym's own checker, which fails at every step with NumPy 2.

    It is taken out of the chain of wrappers, of which only those with a usual attribute are known.
    """
    environment = outer = _below_checkers(environment)
    known = set()
    while id(outer) not in known:
        known.add(id(outer))
        held = getattr(outer, "__dict__", {})
        name = next((name for name in _INNER if held.get(name) is not None), None)
        if name is not None:
            inner = _below_checkers(held[name])
            if inner is not held[name]:
                setattr(outer, name, inner)
            outer = inner
    return environment


def _below_checkers(environment):
    while (
        type(environment).__name__ == "PassiveEnvChecker"
        and type(environment).__module__.partition(".")[0] == "gym"
    ):
        environment = environment.env
    return environment
