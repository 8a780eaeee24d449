"""The model of one agent as compiled graphs of a single shape each: a batch of one."""

import numpy as np
import tensorflow as tf

from dreamer_tf.behaviors import Latent, SeededDraws

CHUNK = 16
"""Rows that are filtered by one call."""


class CompiledModel:
    """A `LatentModel` for one dream: compiled once, never again, whatever is asked for.

    Latent states are `Latent` of arrays without a batch axis.

    Attributes:
      action_keys: Tuple of the action keys.
    """

    def __init__(self, agent):
        """Prepares the graphs; each is built at its first call.

        Args:
          agent: `Agent` with networks.
        """
        self._model = agent.latent_model
        self._act_space = agent.act_space
        self.action_keys = tuple(self._act_space)
        choices = self._model.behavior.choices
        self._graphs = {
            "observe": tf.function(self._observe, autograph=False),
            "step": tf.function(self._step, autograph=False),
            "look": tf.function(self._look, autograph=False),
        }
        for choice in choices:
            self._graphs[choice] = tf.function(self._make_choice(choice), autograph=False)

    def traces(self):
        """Dict of graph to how often it was built."""
        return {name: g.experimental_get_tracing_count() for name, g in self._graphs.items()}

    def initial(self):
        """The `Latent` before any step."""
        return _arrays(self._model.initial(1))

    def observe(self, rows, latent, seed):
        """Filters `CHUNK` rows.

        Args:
          rows: Dict of arrays ``[CHUNK, ...]``.
          latent: `Latent` before them.
          seed: Pair of ints.

        Returns:
          `Latent` ``[CHUNK, ...]`` and dict of ``[CHUNK]``, see `LatentModel.judge`.
        """
        tensors = {key: tf.constant(array[None]) for key, array in rows.items()}
        return tf.nest.map_structure(
            _numpy, self._graphs["observe"](tensors, *_given(latent, seed))
        )

    def _observe(self, rows, latent, seed):
        post = self._model.infer(rows, latent, SeededDraws(seed))
        alone = tf.nest.map_structure(lambda x: x[0], post)
        return alone, self._model.judge(alone)

    def step(self, latent, actions, seed):
        """The `Latent` that an action leads to.

        Args:
          latent: `Latent`.
          actions: Dict of arrays ``[*shape]`` of the agent's action space.
          seed: Pair of ints.
        """
        tensors = {
            key: tf.constant(np.asarray(actions[key], space.dtype)[None])
            for key, space in self._act_space.items()
        }
        latent, seed = _given(latent, seed)
        return _arrays(self._graphs["step"](latent, tensors, seed))

    def _step(self, latent, actions, seed):
        return self._model.step(latent, actions, SeededDraws(seed))

    def look(self, latent):
        """What a latent state stands for.

        Returns:
          Dict of floats, see `LatentModel.judge`, and dict of decoded observations ``[*shape]``.
        """
        judged, observations = self._graphs["look"](_tensors(latent))
        judged = {key: float(value[0]) for key, value in judged.items()}
        return judged, {key: value[0].numpy() for key, value in observations.items()}

    def _look(self, latent):
        return self._model.judge(latent), self._model.decode(latent)

    def choose(self, latent, choice, seed):
        """The agent's own action.

        Args:
          latent: `Latent`.
          choice: One of the behaviour's ``choices``.
          seed: Pair of ints.

        Returns:
          Dict of arrays ``[*shape]`` of the agent's action space.
        """
        chosen = self._graphs[choice](*_given(latent, seed))
        return {key: value[0].numpy() for key, value in chosen.items()}

    def _make_choice(self, choice):
        return lambda latent, seed: self._model.choose(latent, choice, SeededDraws(seed))


def _given(latent, seed):
    return _tensors(latent), tf.constant(seed, tf.int32)


def _tensors(latent):
    return Latent(*(tf.constant(part[None]) for part in latent))


def _arrays(latent):
    return Latent(*(part[0].numpy() for part in latent))


def _numpy(x):
    return x.numpy()
