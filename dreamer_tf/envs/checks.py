"""Stops with the key's name when an environment returns what its spaces do not allow."""

import contextlib
import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from dreamer_tf.envs.base import Env, describe, to_array
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.specs import LOG_PREFIX, STEP_SPACES, Row, Space, row_spaces

logger = logging.getLogger(__name__)

ACTIONS_CHECKED_STEPS = 100
_MOST = np.iinfo(np.int32).max


class CheckedEnv(Env):
    """Passes everything through and checks it.

    Keys, dtypes, shapes, categories, NaN and infinite values are checked at every step; actions,
    which come from here, during the first 100. Numbers of an observation outside of their bounds
    are kept, with a notice once per key: nothing here relies on those bounds, and a run does not
    end for what its first minutes did not show. Of what is only logged, numbers that are not
    finite are left out.
    """

    def __init__(self, env: Env) -> None:
        """Checks the spaces.

        Args:
          env: Any `Env`; one that is checked already is not checked twice.

        Raises:
          EnvError: If the keys of observations, actions and the reserved keys overlap, and later
            from `reset` and `step` for a value that does not fit its space.
        """
        self._env: Env = env._env if isinstance(env, CheckedEnv) else env
        check_keys(self._env.obs_space, self._env.act_space)
        self._spaces = {**self._env.obs_space, **STEP_SPACES}
        self._bounded = {key: _is_bounded(space) for key, space in self._env.obs_space.items()}
        self._steps = 0
        self._running = False

    @property
    def obs_space(self) -> dict[str, Space]:
        return self._env.obs_space

    @property
    def act_space(self) -> dict[str, Space]:
        return self._env.act_space

    @property
    def native_act_space(self) -> dict[str, Space]:
        return self._env.native_act_space

    @property
    def frames_per_step(self) -> int:
        return self._env.frames_per_step

    def reset(self, seed: int) -> Row:
        self._running = True
        return self._checked("reset", self._env.reset(seed))

    def step(self, action: Mapping[str, np.ndarray]) -> Row:
        if not self._running:
            raise EnvError("step() needs a running episode: call reset() first")
        if self._steps < ACTIONS_CHECKED_STEPS:
            _check_keys("action", action, self.act_space)
            problems = [_problem(key, action[key], space) for key, space in self.act_space.items()]
            _raise(problems)
        self._steps += 1
        return self._checked("step", self._env.step(action))

    def render(self) -> np.ndarray:
        return self._env.render()

    def close(self) -> None:
        self._env.close()

    def _checked(self, method, row):
        if not isinstance(row, Mapping):
            raise EnvError(
                f"{method}() of an Env must return a row, a dict of the observations, reward, "
                f"is_first, is_last and is_terminal, as make_row joins them; got {describe(row)}. "
                f"What follows gymnasium's API is no subclass of dreamer_tf.envs.Env"
            )
        log = {key: value for key, value in row.items() if str(key).startswith(LOG_PREFIX)}
        row = {key: value for key, value in row.items() if key not in log}
        _check_keys("observation", row, self._spaces)
        with contextlib.suppress(ValueError):  # Several flags: what is wrong is told below.
            self._running = not row["is_last"]
        _raise([self._problem(key, row[key], space) for key, space in self._spaces.items()])
        return row | _loggable(log)

    def _problem(self, key, value, space):
        """What is wrong with a value; None if nothing is. Bounds of numbers are only told."""
        try:
            value = to_array(key, value)
        except EnvError as error:
            return str(error)
        is_number = space.dtype == np.float32
        if is_number or value.dtype != space.dtype or value.shape != space.shape:
            unbounded = Space(space.dtype, space.shape) if is_number else space
            problem = _problem(key, value, unbounded)
        else:
            problem = _problem(key, value, space) if self._bounded.get(key) else None
        is_told = problem is None and is_number and self._bounded.get(key)
        if is_told and ((value < space.low).any() or (value > space.high).any()):
            self._bounded[key] = False
            logger.warning(
                "%r: values from %g to %g leave %s; they are used as they are. Told once",
                *(key, value.min(), value.max(), space),
            )
        return problem


def check_keys(obs_space: Mapping[str, Space], act_space: Mapping[str, Space]) -> None:
    """Raises `EnvError` if keys, reserved ones included, overlap, or actions have other bounds.

    Agents act with numbers from -1 to 1 and with classes from 0 on; an export stretches the former
    to ``native_act_space``.
    """
    try:
        row_spaces(obs_space, act_space)
    except ValueError as error:
        raise EnvError(f"{error}; rename it, or leave it out by env.keys") from error
    for key, space in act_space.items():
        if space.dtype == np.float32 and not ((space.low == -1).all() and (space.high == 1).all()):
            raise EnvError(
                f"action {key!r}: float32 actions are numbers from -1 to 1, got {space}; stretch "
                f"them in step, and tell the simulator's own range by native_act_space"
            )
        if space.dtype == np.int32 and not ((space.low == 0).all() and space.high.max() < _MOST):
            raise EnvError(
                f"action {key!r}: int32 actions are classes from 0 to K - 1, got {space}"
            )


def check_value(key: str, value: ArrayLike, space: Space) -> None:
    """Raises `EnvError` unless a value is an element of a space."""
    _raise([_problem(key, value, space)])


def _loggable(log):
    """The finite numbers among what is only logged."""
    kept = {}
    for key, value in log.items():
        if _problem(key, value, Space(np.float32)) is None:
            kept[key] = value
        else:
            logger.warning("%r: not logged where it is no finite float32, but %r", key, value)
    return kept


def _check_keys(name, values, spaces):
    if values.keys() != spaces.keys():
        missing, unexpected = spaces.keys() - values.keys(), values.keys() - spaces.keys()
        raise EnvError(
            f"expected the {name} keys {_sorted(spaces)}, got {_sorted(values)}: missing "
            f"{', '.join(map(repr, _sorted(missing))) or 'none'}, unexpected "
            f"{', '.join(map(repr, _sorted(unexpected))) or 'none'}"
        )


def _sorted(keys):
    return sorted(keys, key=str)


def _problem(key, value, space):
    try:
        space.check(key, value)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _raise(problems):
    problems = [problem for problem in problems if problem is not None]
    if problems:
        raise EnvError(*problems)


def _is_bounded(space):
    """Whether a space excludes values that its dtype allows."""
    full = Space(space.dtype, space.shape)
    return bool((space.low > full.low).any() or (space.high < full.high).any())
