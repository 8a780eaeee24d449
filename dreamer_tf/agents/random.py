"""Uniformly random actions: seed episodes, and the floor of every comparison."""

from collections.abc import Mapping

import tensorflow as tf

from dreamer_tf.agents.base import Agent, PolicyState
from dreamer_tf.config import Config
from dreamer_tf.specs import Space


class RandomAgent(Agent):
    """Draws every action uniformly from its space; learns nothing."""

    def __init__(
        self, config: Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]
    ) -> None:
        """Creates the agent.

        Args:
          config: `Config`; its ``seed`` is used.
          obs_space: Dict of observation key to `Space`.
          act_space: Dict of action key to `Space`.
        """
        super().__init__(config, obs_space, act_space, "random")

    def initial_state(self, batch_size):
        """Nothing to know."""
        return PolicyState((), (), {})

    def policy_noise(self, batch_size, rng, mode):
        """The actions themselves, by key: classes, or numbers within their limits."""
        return {key: _draw(space, batch_size, rng) for key, space in self.act_space.items()}

    def act(self, obs, state, is_first, noise, mode):
        """What was drawn."""
        return noise, state

    def train_step(self, batch, carry):
        """Raises a TypeError: there is nothing to train."""
        raise TypeError("the random agent does not learn; choose another agent to train")

    update_noise = update = train_step  # type: ignore[assignment]  # Whatever their arguments.


def _draw(space, size, rng):
    shape = [size, *space.shape]
    if space.is_discrete:
        return tf.cast(rng.uniform(shape) * tf.cast(space.classes, tf.float32), tf.int32)
    return rng.uniform(shape, space.low, space.high)
