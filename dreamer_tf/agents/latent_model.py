"""An agent's model as plain functions of latent states: for those who look on, or dream along.

For agents with ``world_model``, ``actions``, ``prepare`` and what `Agent` says about acting and
valuing in latent states: all that learn. Nothing here remembers anything: whatever is drawn depends
on a seed that is handed in.
"""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from dreamer_tf.ops import leading_size
from dreamer_tf.world_model import get_feat


@dataclasses.dataclass(frozen=True)
class Valuation:
    """What an agent's values of latent states mean.

    Attributes:
      critic: Head whose ``mean(feat)`` is the value ``[...]`` at features ``[..., F]``.
      discount: γ of one step.
      counts_arrival: Whether the value of a state counts the reward for arriving in it; otherwise
        it begins with the reward of the next step.
    """

    critic: keras.Model
    discount: float
    counts_arrival: bool


class Latent(NamedTuple):
    """What of a latent `State` decides all that follows; without how it was drawn.

    Attributes:
      deter: ``[..., D]``.
      stoch: ``[..., S]``.
    """

    deter: tf.Tensor
    stoch: tf.Tensor


class SeededDraws:
    """Draws that depend on a seed alone, with the methods of ``tf.random.Generator`` in use.

    The d-th draws, counted from 0, are stateless ones with d folded into the seed.
    """

    def __init__(self, seed):
        """Takes the seed, ``[2]`` int32."""
        self._seed = seed
        self._calls = 0

    def normal(self, shape):
        """Standard normal draws."""
        return tf.random.stateless_normal(shape, self._next())

    def uniform(self, shape):
        """Uniform draws in [0, 1)."""
        return tf.random.stateless_uniform(shape, self._next())

    def _next(self):
        seed = tf.random.experimental.stateless_fold_in(self._seed, self._calls)
        self._calls += 1
        return seed


class LatentModel:
    """Filtering, imagining, predicting and choosing, on tensors with a batch axis."""

    def __init__(self, agent):
        """Takes the agent apart.

        Args:
          agent: `Agent` with networks.
        """
        self._agent = agent
        self._rssm = agent.world_model.rssm
        self._decoder = agent.networks.get("decoder")

    def initial(self, batch_size):
        """The `Latent` before any step."""
        return _latent(self._rssm.initial_state(batch_size))

    def infer(self, rows, latent, seed):
        """The latent states that rows of experience lead to.

        Args:
          rows: Dict of ``[N, T, ...]``, see `dreamer_tf.specs`.
          latent: `Latent` ``[N, ...]`` before the first of them.
          seed: ``[2]`` int32.

        Returns:
          `Latent` ``[N, T, ...]``.
        """
        size, length = rows["is_first"].shape
        noise = self._rssm.latent.noise(SeededDraws(seed), [length, size])
        prepared, before = self._agent.prepare(rows), self._state(latent)
        _, _, post, _ = self._agent.world_model.observe(prepared, noise, before)
        return _latent(post)

    def step(self, latent, actions, seed):
        """Imagines the state that an action leads to.

        Args:
          latent: `Latent` ``[N, ...]``.
          actions: Dict of action key to ``[N, *shape]``, as `Agent.policy` returns them.
          seed: ``[2]`` int32.

        Returns:
          `Latent` ``[N, ...]``.
        """
        noise = self._rssm.latent.noise(SeededDraws(seed), [leading_size(latent.stoch)])
        vector = self._agent.actions.encode(actions)
        return _latent(self._rssm.img_step(self._state(latent), vector, noise))

    def choose(self, latent, choice, seed):
        """The action that the agent would take for the task.

        Args:
          latent: `Latent` ``[N, ...]``.
          choice: One of the behaviour's ``choices``.
          seed: ``[2]`` int32.

        Returns:
          Dict of action key to ``[N, *shape]``, as `Agent.policy` returns them.
        """
        behavior, draws = self._agent.task_behavior, SeededDraws(seed)
        state = self._state(latent)
        if choice == "mode":
            vector = behavior.mode(state, draws)
        else:
            vector = behavior.sample(state, behavior.noise(draws, leading_size(latent.stoch)))
        # The environment would not exceed its limits, so the model must not see that either.
        return self._agent.actions.decode(tf.clip_by_value(vector, -1.0, 1.0))

    def judge(self, latent):
        """What is expected of latent states.

        Args:
          latent: `Latent` ``[N, ...]``.

        Returns:
          Dict of ``[N]``: ``reward`` for arriving there, as the model learned it; ``cont``, the
          probability that the episode goes on, if a continue model is; ``value``, if a critic is.
        """
        feat = get_feat(latent)
        seen = {name: head.mean(feat) for name, head in self._agent.world_model.heads.items()}
        if "cont" in seen:
            seen["cont"] = tf.minimum(seen["cont"] / self._agent.cont_scale, 1.0)
        if self._agent.valuation:
            seen["value"] = self._agent.valuation.critic.mean(feat)
        return seen

    def decode(self, latent):
        """Dict of the observations ``[N, *shape]`` that latent states stand for, images as bytes.

        Only those that a decoder predicts; empty without one.
        """
        if not self._decoder:
            return {}
        return self._decoder.restore(self._decoder(get_feat(latent)))

    def _state(self, latent):
        """The `State`; the statistics that it was drawn with matter no more."""
        initial = self._rssm.initial_state(leading_size(latent.stoch))
        return initial._replace(deter=latent.deter, stoch=latent.stoch)


def _latent(state):
    return Latent(state.deter, state.stoch)
