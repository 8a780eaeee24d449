"""Stops with the key's name when an environment returns what its spaces do not allow."""

from collections.abc import Mapping

import numpy as np

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.specs import LOG_PREFIX, STEP_SPACES, Row, Space, row_spaces

BOUNDS_CHECKED_STEPS = 100


class CheckedEnv(Env):
    """Passes everything through and checks it.

    Keys, dtypes, shapes, NaN and infinite values are checked at every step; bounds, which take
    longer, during the first 100.
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
        try:
            row_spaces(self._env.obs_space, self._env.act_space)
        except ValueError as error:
            raise EnvError(str(error)) from error
        self._spaces = {**self._env.obs_space, **STEP_SPACES}
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
        return self._check_row(self._env.reset(seed))

    def step(self, action: Mapping[str, np.ndarray]) -> Row:
        if not self._running:
            raise EnvError("step() needs a running episode: call reset() first")
        if self._steps < BOUNDS_CHECKED_STEPS:
            _check("action", action, self.act_space, np.asarray, bounds=True)
        self._steps += 1
        return self._check_row(self._env.step(action))

    def render(self) -> np.ndarray:
        return self._env.render()

    def close(self) -> None:
        self._env.close()

    def _check_row(self, row):
        bounds = self._steps <= BOUNDS_CHECKED_STEPS
        logged = {key: Space(np.float32) for key in row if key.startswith(LOG_PREFIX)}
        _check("observation", row, self._spaces | logged, lambda value: value, bounds)
        self._running = not row["is_last"]
        return row


def _check(name, values, spaces, convert, bounds):
    if values.keys() != spaces.keys():
        raise EnvError(f"expected the {name} keys {sorted(spaces)}, got {sorted(values)}")
    for key, space in spaces.items():
        value = convert(values[key])
        if not bounds and _is_plausible(space, value):
            continue
        try:
            space.check(key, value)
        except (TypeError, ValueError) as error:
            raise EnvError(str(error)) from error


def _is_plausible(space, value):
    """Whether everything but the bounds fits."""
    if value.dtype != space.dtype or value.shape != space.shape:
        return False
    return space.dtype != np.float32 or bool(np.isfinite(value).all())
