"""What the papers' agents share: they act from the latent state of a world model."""

import abc

import tensorflow as tf

from dreamer_tf.agents.base import Agent


class ModelBasedAgent(Agent):
    """An agent whose memory is a posterior `State` and the action ``[N, A]`` taken in it.

    Attributes, which constructors set:
      world_model: `WorldModel`.
      actions: `ActionEncoder`.
      rng: A ``tf.random.Generator``.
    """

    _open_loop = None  # An `OpenLoop`, where a decoder learns.

    def initial_state(self, batch_size):
        """Zero latent state and zero action."""
        latent = self.world_model.rssm.initial_state(batch_size)
        return latent, tf.zeros([batch_size, self.actions.size])

    def decide(self, obs, state, is_first, mode, rng):
        """Samples and explores in ``train``, else takes the best action, see `Agent.decide`."""
        act = {"train": self._act_exploring, "eval": self._act_greedily}[mode]
        action, state = act(obs, state, is_first, rng)
        return self._decode(action), state

    @abc.abstractmethod
    def _act_exploring(self, obs, state, is_first, rng):
        """Draws noise, then acts: action ``[N, A]`` and the next policy state."""

    @abc.abstractmethod
    def _act_greedily(self, obs, state, is_first, rng):
        """The same without exploration."""

    def _decode(self, action):
        """Dict of actions as the environment takes them."""
        return self.actions.decode(action)

    def filter_step(self, obs, state, is_first, noise):
        """One step of the memory: encodes the observation, updates the latent state.

        Args:
          obs: Dict of observations ``[N, *shape]``.
          state: Policy state.
          is_first: ``[N]`` bool, resets it.
          noise: ``[N, S]`` draws of the posterior.

        Returns:
          Posterior `State` ``[N, ...]``.
        """
        latent, action = state
        encoder = self.world_model.encoder
        embed = encoder(encoder.prepare(obs))
        return self.world_model.rssm.obs_step(latent, action, embed, is_first, noise)

    def prepare(self, batch):
        """Rows of experience with actions as vectors, see `Agent.prepare`."""
        return batch | {"action": self.actions.encode(batch)}

    def report(self, batch):
        """Open-loop prediction, see `OpenLoop`; nothing where no decoder learns."""
        return self._open_loop(self.prepare(batch)) if self._open_loop else {}
