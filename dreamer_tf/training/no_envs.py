"""What a run without environments has in their place."""

import numpy as np


class NoEnvs:
    """Stands where the environments of a run are, and has their spaces; nothing can act in it."""

    frames_per_step = 1
    is_evaluated = False
    """Whether there is an environment to evaluate in."""

    def __init__(self, obs_space, act_space, native_act_space):
        """Takes the spaces of the recorded episodes.

        Args:
          obs_space: Dict of observation key to `Space`.
          act_space: Dict of action key to `Space`.
          native_act_space: The actions as the environment took them.
        """
        self.obs_space = obs_space
        self.act_space = act_space
        self.native_act_space = native_act_space
        self.episodes = np.zeros(0, np.int64)

    def __len__(self):
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def play_again(self, rows):
        """Nothing was being played."""
        return {}

    def restore(self, episodes):
        """Nothing was played, and nothing goes on."""
