"""Environments that follow the API of gymnasium, or of gym with four or five step values."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from dreamer_tf.envs.base import Env, FrameEnv
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.spaces import action_codecs, get_path, kind_of, observation_codecs, set_path
from dreamer_tf.specs import LOG_PREFIX


class GymEnv(FrameEnv):
    """Wraps an environment object of gymnasium or gym.

    Boxes of bytes with two or three dimensions are images, other boxes vectors, categories
    one-hot vectors; ``spaces.py`` has the details. ``terminated`` ends the task; ``truncated``,
    or gym's ``TimeLimit.truncated``, only cuts the episode off. Numbers of the last step's info
    whose names begin with ``log_`` go into the log.
    """

    def __init__(self, env, *, action_repeat=1, time_limit=0, image_size=(64, 64)):
        """Looks at the spaces.

        Args:
          env: The environment object.
          action_repeat: Frames per step; rewards are summed.
          time_limit: Frames until an episode is cut off; 0 for the environment's own limit only.
          image_size: Height and width that images are resized to; None keeps theirs.

        Raises:
          EnvError: If a space is not supported.
        """
        super().__init__(action_repeat=action_repeat, time_limit=time_limit)
        self._env = env
        self._observation, self._info = None, {}
        self._observations = observation_codecs(env.observation_space, image_size)
        self._actions = action_codecs(env.action_space)
        self._has_dict = kind_of(env.observation_space, "observation") == "Dict"
        self._takes_dict = kind_of(env.action_space, "action") == "Dict"
        self._reset_takes_seed = _takes_seed(env)

    @property
    def obs_space(self):
        return {key: codec.space for key, codec in self._observations.items()}

    @property
    def act_space(self):
        return {key: codec.space for key, codec in self._actions.items()}

    @property
    def native_act_space(self):
        return {key: codec.native_space for key, codec in self._actions.items()}

    def render(self):
        if getattr(self._env, "render_mode", None) != "rgb_array":
            raise NotImplementedError(
                f"{type(self._env).__name__} draws no pictures; make it with "
                "render_mode='rgb_array'"
            )
        return np.asarray(self._env.render(), np.uint8)

    def close(self):
        self._env.close()

    def _begin(self, seed):
        if self._reset_takes_seed:
            result = self._env.reset(seed=int(seed))
        else:
            if hasattr(self._env, "seed"):
                self._env.seed(int(seed))
            result = self._env.reset()
        has_info = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        self._observation = result[0] if has_info else result

    def _advance(self, action):
        result = self._env.step(self._decode(action))
        if len(result) == 5:
            self._observation, reward, terminated, truncated, info = result
        elif len(result) == 4:
            self._observation, reward, done, info = result
            truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
            terminated = bool(done) and not truncated
        else:
            raise EnvError(f"step() must return 5 values (or 4 as in old gym), got {len(result)}")
        self._info = info
        return _check_number("reward", reward), bool(terminated), bool(truncated)

    def _observe(self):
        return {
            key: codec.encode(get_path(self._observation, key, nested=self._has_dict))
            for key, codec in self._observations.items()
        }

    def _log(self):
        return {
            key.removeprefix(LOG_PREFIX): _check_number(key, value)
            for key, value in self._info.items()
            if str(key).startswith(LOG_PREFIX)
        }

    def _decode(self, action):
        decoded = {key: codec.decode(action[key]) for key, codec in self._actions.items()}
        if not self._takes_dict:
            return decoded["action"]
        nested = {}
        for key, value in decoded.items():
            set_path(nested, key, value)
        return nested


def from_user(
    environment: Any | Callable[[], Any],
    *,
    action_repeat: int = 1,
    time_limit: int = 0,
    image_size: tuple[int, int] | None = (64, 64),
) -> Env:
    """Makes an `Env` of whatever a user brings.

    Args:
      environment: An environment that follows the gymnasium API (or gym's), a function or class
        that returns one when called without arguments, or an `Env`. An `Env` decides about
        action repeat, time limit and image size itself.
      action_repeat: Frames per step.
      time_limit: Frames until an episode is cut off; 0 for the environment's own limit only.
      image_size: Height and width that images are resized to; None keeps theirs.

    Returns:
      An `Env` that checks what it returns.

    Raises:
      EnvError: If it is no environment, or one with spaces that are not supported.
    """
    if not _is_environment(environment):
        if not callable(environment):
            raise EnvError(
                "an environment needs reset(), step(), observation_space and action_space, or "
                f"must be a function that returns one; got {type(environment).__name__}"
            )
        environment = environment()
        if not _is_environment(environment):
            raise EnvError(
                "the constructor must return an environment with reset(), step(), "
                f"observation_space and action_space; got {type(environment).__name__}"
            )
    if isinstance(environment, Env):
        return CheckedEnv(environment)
    options = {"action_repeat": action_repeat, "time_limit": time_limit, "image_size": image_size}
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
    parameters = inspect.signature(method).parameters
    return "seed" in parameters or any(
        parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _check_number(key, value):
    value = np.asarray(value)
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise EnvError(f"{key!r}: expected a number, got {value.dtype} of shape {value.shape}")
    return value.item()
