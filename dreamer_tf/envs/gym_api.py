"""Environments that follow the API of gymnasium, or of gym with four or five step values."""

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dreamer_tf.envs.base import Env, FrameEnv
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.gym_vector import is_vectorized
from dreamer_tf.envs.selected import SelectedEnv
from dreamer_tf.envs.spaces import ALL_KEYS, action_codecs, named_apart, observation_codecs
from dreamer_tf.envs.structure import describe, get_entry, set_entry, to_array
from dreamer_tf.specs import LOG_PREFIX

logger = logging.getLogger(__name__)

_FINAL_KEYS = ("final_obs", "final_observation", "terminal_observation")
_LARGEST_SEED = 2**31 - 1  # Many simulators keep theirs in a signed number of 32 bits.


class GymEnv(FrameEnv):
    """Wraps an environment object of gymnasium or gym.

    Boxes of bytes with two to four dimensions are images, other boxes vectors, categories
    one-hot vectors; ``spaces.py`` has the details. ``terminated`` ends the task; ``truncated``,
    or gym's ``TimeLimit.truncated``, only cuts the episode off. Numbers of the last step's info
    whose names begin with ``log_`` go into the log.
    """

    def __init__(self, env, *, action_repeat=1, time_limit=0, image_size=(64, 64), keys=ALL_KEYS):
        """Looks at the spaces.

        Args:
          env: The environment object.
          action_repeat: Frames per step; rewards are summed.
          time_limit: Frames until an episode is cut off; 0 for the environment's own limit only.
          image_size: Height and width that images are resized to; None keeps theirs.
          keys: Regular expression that the whole key of an observation must match; others are left
            out with a notice.

        Raises:
          EnvError: If a space is not supported.
        """
        super().__init__(action_repeat=action_repeat, time_limit=time_limit)
        self._env = env
        self._observation, self._info, self._problems = None, {}, []
        problems = []
        for name, codecs, arguments in (
            ("_observations", observation_codecs, (env.observation_space, image_size, keys)),
            ("_actions", action_codecs, (env.action_space,)),
        ):
            try:
                setattr(self, name, codecs(*arguments))
            except EnvError as error:
                problems += error.problems
        if problems:
            raise EnvError(*problems)
        self._observations, self._actions = named_apart(self._observations, self._actions)
        self._reset_takes_seed = _takes_seed(env)
        self._has_seed = callable(getattr(env, "seed", None))
        if not (self._reset_takes_seed or self._has_seed):
            logger.warning(
                "%s: reset() takes no seed and there is no seed(), so its episodes are not decided "
                "by env seeds and cannot be repeated; write reset(self, seed=None, options=None)",
                type(getattr(env, "unwrapped", env)).__name__,
            )

    @property
    def obs_space(self):
        return {key: codec.space for key, codec in self._observations.items()}

    @property
    def act_space(self):
        return {key: codec.space for key, codec in self._actions.items() if codec.space}

    @property
    def native_act_space(self):
        return {key: codec.native_space for key, codec in self._actions.items() if codec.space}

    def render(self):
        if getattr(self._env, "render_mode", None) != "rgb_array":
            raise NotImplementedError(
                f"{type(self._env).__name__} draws no pictures; make it with "
                "render_mode='rgb_array'"
            )
        picture = to_array("render()", call(self._env.render))
        if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4):
            raise EnvError(
                f"render(): expected a picture [height, width, 3], got {describe(picture)}"
            )
        return np.array(picture, np.uint8)

    def close(self):
        close = getattr(self._env, "close", None)
        if close is not None:
            call(close)

    def encode(self, action):
        """Actions as an agent gives them, of one as the environment takes it: the way back."""
        return {
            key: codec.encode(get_entry(action, codec.path))
            for key, codec in self._actions.items()
            if codec.space
        }

    def _begin(self, seed):
        self._problems = []
        seed = int(seed) & _LARGEST_SEED
        if self._reset_takes_seed:
            result = call(self._env.reset, seed=seed)
        else:
            if self._has_seed:
                call(self._env.seed, seed)
            result = call(self._env.reset)
        has_info = (
            isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping | None)
        )
        self._observation = result[0] if has_info else result
        self._info = {}

    def _advance(self, action):
        result = call(self._env.step, self._decode(action))
        if not isinstance(result, tuple | list) or len(result) not in (4, 5):
            got = len(result) if isinstance(result, tuple | list) else describe(result)
            raise EnvError(f"step() must return 5 values (or 4 as in old gym), got {got}")
        self._problems = []
        self._observation, reward, *ends, info = result
        self._info = self._checked(_check_info, "info", info, {})
        reward = self._checked(_check_number, "reward", reward, 0.0)
        names = ("terminated", "truncated") if len(ends) == 2 else ("done",)
        ends = [
            value is not None and bool(self._checked(_check_number, name, value, False))
            for name, value in zip(names, ends, strict=True)
        ]
        if len(ends) == 2:
            terminated, truncated = ends
        else:
            truncated = ends[0] and bool(self._info.get("TimeLimit.truncated", False))
            terminated = ends[0] and not truncated
        if terminated or truncated:
            # One that has reset itself already keeps what the episode ended with here.
            finals = [self._info[key] for key in _FINAL_KEYS if self._info.get(key) is not None]
            self._observation = finals[0] if finals else self._observation
        return reward, terminated, truncated

    def _observe(self):
        problems, obs = self._problems, {}
        for key, codec in self._observations.items():
            try:
                obs[key] = codec.encode(get_entry(self._observation, codec.path))
            except EnvError as error:
                problems += error.problems
        if problems:
            raise EnvError(*problems)
        return obs

    def _log(self):
        log = {}
        for key, value in self._info.items():
            if not str(key).startswith(LOG_PREFIX):
                continue
            try:
                number = _check_number(key, value)
            except EnvError as error:
                logger.warning("%r: not logged: %s", key, error)
                continue
            if math.isfinite(number):
                log[key.removeprefix(LOG_PREFIX)] = number
            else:
                logger.warning("%r: not logged where it is %s", key, number)
        return log

    def _decode(self, action):
        decoded = {}
        for key, codec in self._actions.items():
            value = codec.decode(action.get(key))
            if not codec.path:
                return value
            set_entry(decoded, codec.path, value)
        return decoded

    def _checked(self, check, name, value, otherwise):
        """A part of what ``step`` returned; what is wrong is told with the observation."""
        try:
            return check(name, value)
        except EnvError as error:
            self._problems += error.problems
            return otherwise


def call(function, *args, **kwargs):
    """Calls what belongs to the user's environment; a traceback that passes here is not ours."""
    return function(*args, **kwargs)


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
    if is_vectorized(environment):
        count = getattr(environment, "num_envs")  # noqa: B009
        raise EnvError(
            f"{type(environment).__name__} is a VectorEnv of {count} environments: "
            f"say so by passing dreamer_tf.envs.Vectorized(lambda: …), with the function that "
            f"makes it"
        )
    if isinstance(environment, Env):
        return CheckedEnv(SelectedEnv.of(environment, keys))
    options = {
        "action_repeat": action_repeat,
        "time_limit": time_limit,
        "image_size": image_size,
        "keys": keys,
    }
    return CheckedEnv(GymEnv(environment, **options))


def _is_environment(value):
    methods = ("reset", "step")
    is_object = not isinstance(value, type) and all(hasattr(value, name) for name in methods)
    spaces = ("observation_space", "action_space")
    return is_object and (isinstance(value, Env) or all(hasattr(value, name) for name in spaces))


def _takes_seed(env):
    """Whether `reset` takes a seed; wrappers with ``**kwargs`` pass on what is inside."""
    return _accepts_seed(env.reset) and _accepts_seed(getattr(env, "unwrapped", env).reset)


def _accepts_seed(method):
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # Written in C, without a signature.
        return False
    return "seed" in parameters or any(
        parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


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


def _check_info(key, info):
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise EnvError(f"{key!r}: expected a dict (or None), got {describe(info)}")
    return info


def _check_number(key, value):
    array = None if value is None else to_array(key, value)
    if array is None or array.size != 1 or array.dtype.kind not in "biuf":
        got = "object" if array is None else array.dtype
        raise EnvError(
            f"{key!r}: expected a number, got {got} of shape {np.shape(value)} ({describe(value)})"
        )
    return array.item()
