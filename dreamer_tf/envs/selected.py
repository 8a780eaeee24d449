"""An environment of which the agent sees a part, or that under other names."""

import logging
from collections.abc import Mapping

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.names import new_names, renamed
from dreamer_tf.envs.spaces import ALL_KEYS, selected

logger = logging.getLogger(__name__)


class SelectedEnv(Env):
    """Leaves observations out, and gives others new keys."""

    def __init__(self, env, keys, names):
        """Wraps an environment.

        Args:
          env: Any `Env`.
          keys: The keys of its observations that stay.
          names: Dict of key to what it is called instead.

        Raises:
          EnvError: If two observations would be called the same.
        """
        self._env = env
        self._left_out = env.obs_space.keys() - set(keys)
        self._names = names
        self._without(env.obs_space)

    @classmethod
    def of(cls, env, pattern=ALL_KEYS):
        """The environment with the observations that match a pattern and are not empty.

        Those that are called like something of the agents' get other names.

        Raises:
          EnvError: If none is left, the pattern is no regular expression, or a new name is taken.
        """
        spaces = selected(env.obs_space, pattern)
        keys = [key for key, space in spaces.items() if 0 not in space.shape]
        for key in spaces:
            if key not in keys:
                logger.warning("%r: it is empty, a space without elements, and left out", key)
        names = new_names(keys)
        return cls(env, keys, names) if names or len(keys) < len(env.obs_space) else env

    @property
    def obs_space(self):
        return self._without(self._env.obs_space)

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
        """The part of a row, or of the spaces, that stays; of what is no row, the check tells."""
        if not isinstance(row, Mapping):
            return row
        left = {key: value for key, value in row.items() if key not in self._left_out}
        return renamed(left, self._names) if self._names else left
