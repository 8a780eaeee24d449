"""Environments that cannot be trained on; importing this registers them with gymnasium.

Their tasks are ``gymnasium_tests.apps.broken_envs:NaN-v0`` and the like.
"""

import gymnasium
import numpy as np


class NaNEnv(gymnasium.Env):
    """Observes NaN in the second step."""

    observation_space = gymnasium.spaces.Dict(
        {"speed": gymnasium.spaces.Box(-np.inf, np.inf, [2], np.float32)}
    )
    action_space = gymnasium.spaces.Box(-1, 1, [1], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return {"speed": np.zeros(2, np.float32)}, {}

    def step(self, action):
        self.steps += 1
        value = np.nan if self.steps == 2 else 0.0
        return {"speed": np.full(2, value, np.float32)}, 0.0, False, False, {}


class TextEnv(NaNEnv):
    """Observes text, which no agent here reads."""

    observation_space = gymnasium.spaces.Text(5)


gymnasium.register("NaN-v0", NaNEnv)
gymnasium.register("Text-v0", TextEnv)
