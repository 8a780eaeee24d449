"""Environments that follow the API of gymnasium, or of gym with four or five step values."""

import inspect
import logging
import math
import re
from collections.abc import Mapping

import numpy as np

from dreamer_tf.envs.base import FrameEnv, describe, get_entry, set_entry, to_array
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.names import named_apart
from dreamer_tf.envs.pictures import drawn
from dreamer_tf.envs.spaces import ALL_KEYS, action_codecs, observation_codecs
from dreamer_tf.specs import LOG_PREFIX

logger = logging.getLogger(__name__)

FINAL_KEYS = ("final_obs", "final_observation", "terminal_observation")
"""Where the info of one that resets itself keeps what an episode ended with."""
# What Python says where a seed is handed to what takes none, and pybind11.
_NO_SEED = re.compile(
    r"argument 'seed'|(reset|seed)\(\) takes (no|0 positional|1 positional argument but 2) "
    r"|has no attribute 'seed'|(reset|seed)\(\): incompatible function arguments"
)
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
        codecs, problems = [], []
        for name, make, arguments in (
            ("observation_space", observation_codecs, (image_size, keys)),
            ("action_space", action_codecs, ()),
        ):
            try:
                codecs.append(make(_declared(env, name), *arguments))
            except EnvError as error:
                problems += error.problems
        if problems:
            raise EnvError(*problems)
        self._observations, self._actions = named_apart(*codecs)
        self._reset_takes_seed = _may_take_seed(env.reset)
        self._has_seed = callable(getattr(env, "seed", None))
        self._began, self._is_told_of_done = False, False
        self._tell_if_unseeded()

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
        return drawn(call(self._env.render))

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
        result = self._reset(int(seed) & _LARGEST_SEED)
        self._began = True
        has_info = (
            isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping | None)
        )
        self._observation = result[0] if has_info else result
        self._info = {}

    def _reset(self, seed):
        """What ``reset`` returns; the first one shows whether a seed is taken in earnest."""
        if self._reset_takes_seed:
            try:
                return call(self._env.reset, seed=seed)
            except Exception as error:
                # A wrapper with ``**kwargs`` may be around one without a seed.
                if self._began or not refuses_seed(error):
                    raise
                self._reset_takes_seed = False
                self._tell_if_unseeded(error)
        if self._has_seed:
            try:
                call(self._env.seed, seed)
            except Exception as error:
                is_about_it = isinstance(error, NotImplementedError) or refuses_seed(error)
                if self._began or not is_about_it:
                    raise
                self._has_seed = False
                self._tell_if_unseeded(error)
        return call(self._env.reset)

    def _tell_if_unseeded(self, error=None):
        if not (self._reset_takes_seed or self._has_seed):
            logger.warning(
                "%s: reset() takes no seed and there is no seed(), so its episodes are not decided "
                "by env seeds and cannot be repeated; write reset(self, seed=None, options=None)%s",
                *(_name_of(self._env), f". It raised {error!r}" if error else ""),
            )

    def _advance(self, action):
        result = call(self._env.step, self._decode(action))
        if not isinstance(result, tuple | list) or len(result) not in (4, 5):
            got = len(result) if isinstance(result, tuple | list) else describe(result)
            raise EnvError(f"step() must return 5 values (or 4 as in old gym), got {got}")
        self._observation, reward, *ends, info = result
        self._info = self._checked(_check_info, "info", info, {})
        reward = self._checked(_check_number, "reward", reward, 0.0)
        names = ("terminated", "truncated") if len(ends) == 2 else ("done",)
        ends = [
            value is not None and self._checked(_check_flag, name, value, False)
            for name, value in zip(names, ends, strict=True)
        ]
        if len(ends) == 2:
            terminated, truncated = ends
        else:
            truncated = ends[0] and bool(self._info.get("TimeLimit.truncated", False))
            terminated = ends[0] and not truncated
            if ends[0]:
                self._tell_of_done()
        if terminated or truncated:
            # One that has reset itself already keeps what the episode ended with here.
            finals = [self._info[key] for key in FINAL_KEYS if self._info.get(key) is not None]
            self._observation = finals[0] if finals else self._observation
        # What is wrong is told with the observation, so no further frame comes before it.
        return reward, terminated, truncated or bool(self._problems)

    def _tell_of_done(self):
        """Says once what an end is taken for of which nothing says whether it is a limit."""
        if self._is_told_of_done or "TimeLimit.truncated" in self._info:
            return
        self._is_told_of_done = True
        logger.warning(
            "%s: done, of the four values of step(), is taken for the end of the task, after which "
            "nothing could be earned; where it is a time limit set info['TimeLimit.truncated'], or "
            "return terminated and truncated instead. Told once",
            _name_of(self._env),
        )

    def _observe(self):
        problems, self._problems, obs = self._problems, [], {}
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


def _declared(env, name):
    """The space that an environment has under a name.

    Raises:
      EnvError: If it is none.
    """
    space = getattr(env, name)
    if space is None:
        raise EnvError(
            f"{name} is None: expected a space, which must be known before the first reset; set it "
            f"in the constructor"
        )
    if callable(space):
        raise EnvError(
            f"{name} is a method: expected a space. An environment of several agents, as "
            f"PettingZoo's, is not supported: wrap one of them, so that the others belong to its "
            f"environment. For one agent make it an attribute, or a property"
        )
    return space


def refuses_seed(error):
    """Whether an error says that no seed is taken."""
    if isinstance(error, TypeError | AttributeError):
        return bool(_NO_SEED.search(str(error)))
    refusals = ValueError | NotImplementedError | AssertionError
    return isinstance(error, refusals) and "seed" in str(error).lower()


def _name_of(env):
    """The name of what wrappers are around; what is no wrapper may have any ``unwrapped``."""
    try:
        inner = env.unwrapped
    except Exception:  # Of a simulator that is not started, say; nothing but a name is missing.
        inner = None
    return type(env if inner is None else inner).__name__


def _may_take_seed(method):
    """Whether a seed can be handed to a method; the first time shows whether it is taken."""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # Written in C, without a signature.
        return True
    return "seed" in parameters or any(
        parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _check_info(key, info):
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise EnvError(f"{key!r}: expected a dict (or None), got {describe(info)}")
    return info


def _check_flag(key, value):
    number = _check_number(key, value)
    if number not in (0, 1):
        raise EnvError(f"{key!r}: expected true or false (1 or 0), got {number}")
    return bool(number)


def _check_number(key, value):
    array = None if value is None else to_array(key, value)
    if array is None or array.size != 1 or array.dtype.kind not in "biuf":
        got = "object" if array is None else array.dtype
        raise EnvError(
            f"{key!r}: expected a number, got {got} of shape {np.shape(value)} ({describe(value)})"
        )
    return array.item()
