"""An agent's model as plain functions of latent states: for those who look on, or dream along.

Nothing here remembers anything: whatever is drawn comes from the ``rng`` that is handed in.
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
    """Filtering, imagining, predicting and choosing, on tensors with a batch axis.

    Attributes:
      behavior: What chooses actions for the task in a latent state, see `acting`.
      decoder: Decoder of the features; None: nothing decodes them.
      valuation: `Valuation`; None: nothing learns what states are worth.
    """

    def __init__(
        self, world_model, actions, behavior, prepare, *, decoder, valuation=None, cont_scale=1.0
    ):
        """Joins an agent's parts.

        Args:
          world_model: `WorldModel`.
          actions: `ActionEncoder`.
          behavior: What acts for the task.
          prepare: Function of rows of experience to what the world model takes, `Agent.prepare`.
          decoder: Decoder, or None.
          valuation: `Valuation`, or None.
          cont_scale: What the continue model learns where an episode goes on: γ, or 1.
        """
        self._world_model = world_model
        self._rssm = world_model.rssm
        self._actions = actions
        self._prepare = prepare
        self._cont_scale = cont_scale
        self.behavior = behavior
        self.decoder = decoder
        self.valuation = valuation

    @property
    def predictions(self):
        """Names of what `predict` gives."""
        return [*self._world_model.heads, *(self.decoder.keys if self.decoder else ())]

    def initial(self, batch_size):
        """The `Latent` before any step."""
        return _latent(self._rssm.initial_state(batch_size))

    def infer(self, rows, latent, rng):
        """The latent states that rows of experience lead to.

        Args:
          rows: Dict of ``[N, T, ...]``, see `dreamer_tf.specs`.
          latent: `Latent` ``[N, ...]`` before the first of them.
          rng: Has ``normal(shape)`` and ``uniform(shape)``.

        Returns:
          `Latent` ``[N, T, ...]``.
        """
        size, length = rows["is_first"].shape
        noise = self._rssm.latent.draws(rng, [length, size])
        before = self._rssm.state(*latent)
        _, post, _ = self._world_model.observe(self._prepare(rows), noise, before)
        return _latent(post)

    def step(self, latent, actions, rng):
        """Imagines the state that an action leads to.

        Args:
          latent: `Latent` ``[N, ...]``.
          actions: Dict of action key to ``[N, *shape]``, as `Agent.policy` returns them.
          rng: As for `infer`.

        Returns:
          `Latent` ``[N, ...]``.
        """
        noise = self._rssm.latent.draws(rng, [leading_size(latent.stoch)])
        vector = self._actions.encode(actions)
        return _latent(self._rssm.img_step(self._rssm.state(*latent), vector, noise))

    def choose(self, latent, choice, rng):
        """The action that the agent would take for the task.

        Args:
          latent: `Latent` ``[N, ...]``.
          choice: One of the behaviour's ``choices``.
          rng: As for `infer`.

        Returns:
          Dict of action key to ``[N, *shape]``, as `Agent.policy` returns them.
        """
        mode = {"mode": "eval", "sample": "train"}[choice]
        noise = self.behavior.draws(rng, leading_size(latent.stoch), mode)
        vector, _ = self.behavior.action(self._rssm.state(*latent), noise, mode)
        # The environment would not exceed its limits, so the model must not see that either.
        return self._actions.decode(tf.clip_by_value(vector, -1.0, 1.0))

    def predict(self, latent):
        """What the heads and the decoder say of latent states, see `predictions`.

        Args:
          latent: `Latent` ``[..., X]``.

        Returns:
          Dict of ``[...]`` for heads and ``[..., *shape]`` for observations.
        """
        feat = get_feat(latent)
        return self._head_means(feat) | self._decoded(feat)

    def judge(self, latent):
        """What is expected of latent states.

        Args:
          latent: `Latent` ``[N, ...]``.

        Returns:
          Dict of ``[N]``: ``reward`` for arriving there, as the model learned it; ``cont``, the
          probability that the episode goes on, if a continue model is; ``value``, if a critic is.
        """
        feat = get_feat(latent)
        seen = self._head_means(feat)
        if "cont" in seen:
            seen["cont"] = tf.minimum(seen["cont"] / self._cont_scale, 1.0)
        if self.valuation:
            seen["value"] = self.valuation.critic.mean(feat)
        return seen

    def decode(self, latent):
        """Dict of the observations ``[N, *shape]`` that latent states stand for, images as bytes.

        Only those that a decoder predicts; empty without one.
        """
        return self._decoded(get_feat(latent))

    def _head_means(self, feat):
        return {name: head.mean(feat) for name, head in self._world_model.heads.items()}

    def _decoded(self, feat):
        return self.decoder.restore(self.decoder(feat)) if self.decoder else {}


def _latent(state):
    return Latent(state.deter, state.stoch)
