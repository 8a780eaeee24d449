"""Uniformly random actions: seed episodes, and the floor of every comparison."""

import tensorflow as tf

from dreamer_tf.agents.base import Agent


class RandomAgent(Agent):
    """Draws every action uniformly from its space; learns nothing."""

    def __init__(self, config, obs_space, act_space):
        """Creates the agent.

        Args:
          config: `Config`; its ``seed`` is used.
          obs_space: Dict of observation key to `Space`.
          act_space: Dict of action key to `Space`.
        """
        super().__init__(obs_space, act_space, "random")
        self.rng = tf.random.Generator.from_seed(config.seed, alg="philox")

    def initial_state(self, batch_size):
        """There is no state."""
        return ()

    def _act(self, obs, state, is_first, mode):
        size = is_first.shape[0]
        return {key: self._draw(space, size) for key, space in self.act_space.items()}, state

    def _draw(self, space, size):
        shape = [size, *space.shape]
        if space.is_discrete:
            uniform = self.rng.uniform(shape)
            return tf.cast(uniform * tf.cast(space.classes, tf.float32), tf.int32)
        return self.rng.uniform(shape, space.low, space.high)

    def train_step(self, batch, carry):
        """Raises a TypeError: there is nothing to train."""
        raise TypeError("the random agent does not learn; choose another agent to train")

    def report(self, batch):
        """There is nothing to report."""
        return {}
