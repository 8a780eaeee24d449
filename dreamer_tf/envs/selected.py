"""An environment of which the agent sees a part."""

import logging

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.spaces import ALL_KEYS, selected

logger = logging.getLogger(__name__)


class SelectedEnv(Env):
    """Leaves observations out."""

    def __init__(self, env, keys):
        """Wraps an environment.

        Args:
          env: Any `Env`.
          keys: The keys of its observations that stay.
        """
        self._env = env
        self._left_out = env.obs_space.keys() - set(keys)

    @classmethod
    def of(cls, env, pattern=ALL_KEYS):
        """The environment with the observations that match a pattern and are not empty.

        Raises:
          EnvError: If none is left, or the pattern is no regular expression.
        """
        spaces = selected(env.obs_space, pattern)
        keys = [key for key, space in spaces.items() if 0 not in space.shape]
        for key in spaces:
            if key not in keys:
                logger.warning("%r: it is empty, a space without elements, and left out", key)
        return env if len(keys) == len(env.obs_space) else cls(env, keys)

    @property
    def obs_space(self):
        return {k: space for k, space in self._env.obs_space.items() if k not in self._left_out}

    @property
    def act_space(self):
        return self._env.act_space

    @property
    def native_act_space(self):
        return self._env.native_act_space

    @property
    def frames_per_step(self):
        return self._env.frames_per_step

    def reset(self, seed):
        return self._without(self._env.reset(seed))

    def step(self, action):
        return self._without(self._env.step(action))

    def render(self):
        return self._env.render()

    def close(self):
        self._env.close()

    def _without(self, row):
        return {key: value for key, value in row.items() if key not in self._left_out}
