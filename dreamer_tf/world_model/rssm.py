"""Recurrent state-space model.

::

        deter_{t-1} ──────────────► cell ──► deter_t ──┬──► prior ──► q(s_t | s_{t-1}, a_{t-1})
        stoch_{t-1} ────────────────┘ ▲                │
        action_t  (it led to o_t) ────┘                └──► post ──► p(s_t | s_{t-1}, a_{t-1}, o_t)
        embed_t   (of o_t) ────────────────────────────────────┘

The prior (transition model) predicts the stochastic state from the past alone; the posterior
(representation model) also sees the observation. Both share the deterministic path.

Reference: arXiv:1811.04551, section 3; arXiv:1912.01603, section 4.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from dreamer_tf.nn import MLP, ConcatMLP
from dreamer_tf.ops import leading_size, scan, swap_time, unless


class State(NamedTuple):
    """A latent state.

    Attributes:
      deter: ``[..., D]`` deterministic state.
      stoch: ``[..., S]`` sample of the stochastic state.
      stats: Dict of parameters of the distribution that ``stoch`` was drawn from.
    """

    deter: tf.Tensor
    stoch: tf.Tensor
    stats: dict


def get_feat(state):
    """What the heads see: stoch, then deter, ``[..., F]``."""
    return tf.concat([state.stoch, state.deter], axis=-1)


class RSSM(keras.Model):
    """Joins a recurrent cell and a latent."""

    def __init__(
        self,
        cell,
        latent,
        hidden,
        *,
        prior_layers=1,
        post_layers=1,
        activation="elu",
        norm="none",
        initializer="glorot_uniform",
        out_initializer="glorot_uniform",
        absolute=False,
        dtype="float32",
        **kwargs,
    ):
        """Describes the model.

        Args:
          cell: Recurrent cell such as `DenseGRU`, not yet built.
          latent: Kind of stochastic state such as `GaussianLatent`.
          hidden: Width of the hidden layers of prior and posterior.
          prior_layers: Hidden layers of the prior.
          post_layers: Hidden layers of the posterior, at least one.
          activation: Of the hidden layers.
          norm: Of the hidden layers, before the activation, see `NormAct`.
          initializer: Of the hidden layers' kernels, Keras initialiser.
          out_initializer: Of the kernels that the statistics come from.
          absolute: Whether the posterior sees the embedding alone.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.cell = cell
        self.latent = latent
        layers = {
            "activation": activation,
            "norm": norm,
            "initializer": initializer,
            "out_initializer": out_initializer,
            "dtype": dtype,
        }
        self.prior_net = MLP(prior_layers, hidden, latent.outputs, name="prior", **layers)
        self.post_net = ConcatMLP(post_layers, hidden, latent.outputs, name="post", **layers)
        self._absolute = absolute
        self.feat_size = latent.size + cell.deter

    def build(self, embed_size, action_size):
        """Creates the weights from the widths of embeddings (E) and actions (A)."""
        self.cell.build(self.latent.size, action_size)
        self.prior_net.build(self.cell.deter)
        # The embedding comes last: it is projected before the loop over time.
        self.post_net.build([embed_size] if self._absolute else [self.cell.deter, embed_size])

    def initial_state(self, batch_size):
        """The state before any step: zeros.

        Args:
          batch_size: Python int or scalar tensor N.
        """
        return State(
            deter=tf.zeros([batch_size, self.cell.deter]),
            stoch=tf.zeros([batch_size, self.latent.size]),
            stats=self.latent.initial_stats(batch_size),
        )

    def state(self, deter, stoch):
        """The `State` of its parts ``[..., D]`` and ``[..., S]`` alone.

        The statistics that ``stoch`` was drawn with are those of the initial state: nothing that
        follows depends on them.
        """
        return self.initial_state(leading_size(stoch))._replace(deter=deter, stoch=stoch)

    def obs_step(self, state, action, embed, is_first, noise):
        """One posterior step.

        Args:
          state: Posterior `State` ``[N, ...]`` of the step before.
          action: ``[N, A]`` action that led to the observation.
          embed: ``[N, E]`` embedding of the observation.
          is_first: ``[N]`` bool; where true, the state and action before are taken as zeros.
          noise: ``[N, S]`` draws of the latent.

        Returns:
          Posterior `State`.
        """
        is_first = is_first[:, None]
        inputs = (
            self.cell.project_action(unless(is_first, action)),
            self.post_net.project(-1, embed),
            is_first,
            noise,
        )
        return self._obs_step(state, inputs)

    def _obs_step(self, state, inputs):
        projected_action, projected_embed, is_first, noise = inputs
        deter, stoch = unless(is_first, state.deter), unless(is_first, state.stoch)
        deter = self.cell(deter, stoch, projected_action)
        seen = () if self._absolute else (deter,)
        stats = self.latent.stats(self.post_net(*seen, projected=projected_embed))
        return State(deter, self.latent.sample(stats, noise), stats)

    def img_step(self, state, action, noise):
        """One prior step.

        Args:
          state: `State` ``[N, ...]``.
          action: ``[N, A]`` action taken in it.
          noise: ``[N, S]`` draws of the latent.

        Returns:
          Prior `State` that the action leads to.
        """
        return self._img_step(state, (self.cell.project_action(action), noise))

    def _img_step(self, state, inputs):
        projected_action, noise = inputs
        deter = self.cell(state.deter, state.stoch, projected_action)
        stats = self.prior_stats(deter)
        return State(deter, self.latent.sample(stats, noise), stats)

    def prior_stats(self, deter):
        """Stats of the prior at deterministic states ``[..., D]``."""
        return self.latent.stats(self.prior_net(deter))

    def observe(self, embed, action, is_first, state, noise):
        """Filters sequences: `obs_step` along time.

        What does not depend on the state before (the products with actions and embeddings, and
        the prior, on which no later step depends) is computed for all steps at once.

        Args:
          embed: ``[B, T, E]`` embeddings.
          action: ``[B, T, A]``; ``action[:, t]`` led to the observation of ``embed[:, t]``.
          is_first: ``[B, T]`` bool, where an episode starts.
          state: `State` ``[B, ...]`` before the first step.
          noise: ``[T, B, S]`` draws of the posterior, time first.

        Returns:
          Posterior `State` ``[B, T, ...]`` and the prior's stats, ``[B, T, ...]``.
        """
        is_first = is_first[..., None]
        projected = (
            self.cell.project_action(unless(is_first, action)),
            self.post_net.project(-1, embed),
            is_first,
        )
        inputs = (*tf.nest.map_structure(swap_time, projected), noise)
        post = scan(self._obs_step, state, inputs, embed.shape[1])
        prior = self._priors(state, post, inputs)
        return tf.nest.map_structure(swap_time, (post, prior))

    def _priors(self, start, post, inputs):
        """The prior's stats at every step of a filtered sequence, all time first.

        Args:
          start: `State` ``[B, ...]`` before the first step.
          post: `State` ``[T, B, ...]``.
          inputs: What `_obs_step` took, ``[T, B, ...]``.
        """
        del start, inputs  # The deterministic state holds all that the prior needs.
        return self.prior_stats(post.deter)

    def imagine(self, policy, state, noise):
        """Predicts ahead without observations: `img_step` along time, actions from a policy.

        Args:
          policy: Function of a `State` ``[N, ...]`` and the time step's own inputs to an action
            ``[N, A]``.
          state: `State` ``[N, ...]`` to start from; it is not part of the result.
          noise: Dict of ``latent``, draws ``[H, N, S]``, and ``policy``, whatever the policy takes
            as its second argument, ``[H, N, ...]`` (noise or given actions).

        Returns:
          `State` ``[H, N, ...]``, the states after each action.
        """

        def step(state, inputs):
            return self.img_step(state, policy(state, inputs["policy"]), inputs["latent"])

        return scan(step, state, noise, noise["latent"].shape[0])

    def predict(self, action, state, noise):
        """Predicts ahead along given actions: `imagine`, with their products outside the loop.

        Args:
          action: ``[H, N, A]`` actions, the first one taken in ``state``.
          state: `State` ``[N, ...]`` to start from; it is not part of the result.
          noise: ``[H, N, S]`` draws of the latent.

        Returns:
          `State` ``[H, N, ...]``, the states after each action.
        """
        inputs = (self.cell.project_action(action), noise)
        return scan(self._img_step, state, inputs, action.shape[0])
