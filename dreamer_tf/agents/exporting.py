"""What of an agent goes into an export: its decisions and its predictions as plain functions.

For agents with ``world_model``, ``actions`` and a policy state of a latent `State` and the action
``[N, A]`` taken in it: all that learn.
"""

import tensorflow as tf

from dreamer_tf.export.draws import RowDraws
from dreamer_tf.export.saved_model import Policy
from dreamer_tf.ops import leading_size
from dreamer_tf.world_model import get_feat


class ExportedFunctions:
    """An agent's functions on flat states.

    A state is a dict of ``deter`` ``[N, D]`` (if there is any), ``stoch`` ``[N, S]``, ``action``
    ``[N, A]``, the agent's own vector, and ``seed`` ``[N, 2]``, which decides what is drawn next
    and counts on with every decision.
    """

    def __init__(self, agent, native):
        """Takes the agent apart.

        Args:
          agent: Agent.
          native: `NativeActions`.
        """
        self._agent = agent
        self._native = native
        self._rssm = agent.world_model.rssm
        self._decoder = agent.networks.get("decoder")

    def policy(self):
        """Everything that is written, a `Policy`."""
        return Policy(
            agent=self._agent.name,
            obs_space=self._agent.obs_space,
            act_space=self._native.native_space,
            state=self._state_specs(),
            initial_state=self.initial_state,
            act=self.act,
            imagine=self.imagine,
            act_with_draws=self.act_with_draws,
            predictions=self._predictions(),
            networks=self._agent.networks,
        )

    def _state_specs(self):
        state = self.initial_state(1)
        return {key: tf.TensorSpec(x.shape[1:], x.dtype) for key, x in state.items()}

    def _predictions(self):
        heads = self._agent.world_model.heads
        return [*heads, *(self._decoder.keys if self._decoder else ())]

    def initial_state(self, batch_size):
        """The state before any step; row i draws with the seed (i, 0).

        Args:
          batch_size: N, an int or a scalar tensor.
        """
        latent, action = self._agent.initial_state(batch_size)
        rows = tf.range(batch_size)
        return self._pack(latent, action) | {"seed": tf.stack([rows, tf.zeros_like(rows)], 1)}

    def act(self, obs, state, is_first, mode):
        """`Agent.decide` in the environment's own actions, with draws that the state decides.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Dict of ``[N, ...]``.
          is_first: ``[N]`` bool.
          mode: As for `Agent.policy`.

        Returns:
          Dict of actions ``[N, *shape]`` and the next state.
        """
        seed = state["seed"]
        actions, after = self._decide(obs, state, is_first, mode, RowDraws(seed))
        return actions, after | {"seed": _next(seed)}

    def act_with_draws(self, obs, state, is_first, draws):
        """`act` in the mode ``eval``, without ``seed`` in the state.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Dict of ``[N, ...]``.
          is_first: ``[N]`` bool.
          draws: Generator such as `FedDraws`.
        """
        return self._decide(obs, state, is_first, "eval", draws)

    def _decide(self, obs, state, is_first, mode, draws):
        before = (self._unpack(state), state["action"])
        actions, (latent, action) = self._agent.decide(obs, before, is_first, mode, draws)
        return self._native.to_native(actions), self._pack(latent, action)

    def imagine(self, state, actions):
        """What the model expects along given actions, without observations.

        Args:
          state: Dict of ``[N, ...]``.
          actions: Dict of the environment's actions ``[N, H, *shape]``, the first one taken in
            ``state``.

        Returns:
          Dict of ``[N, H, ...]`` about the states that the actions lead to: ``reward``; ``cont``,
          the continue model's output, if there is one; and the observations, if they are decoded.
          And the state after the last action.
        """
        time_first = tf.nest.map_structure(_swap_time, actions)

        def step(before, taken):
            latent, seed, _ = before
            action = self._agent.actions.encode(self._native.from_native(taken))
            noise = self._rssm.latent.noise(RowDraws(seed), [leading_size(seed)])
            after = self._rssm.img_step(self._unpack(latent), action, noise)
            return self._pack_latent(after), _next(seed), action

        latent = {key: state[key] for key in state if key not in ("seed", "action")}
        first = (latent, state["seed"], state["action"])
        latents, seeds, encoded = tf.scan(step, time_first, first)
        feat = _swap_time(get_feat(self._unpack(latents)))
        last = latents | {"seed": seeds, "action": encoded}
        return self._predict(feat), {key: x[-1] for key, x in last.items()}

    def _predict(self, feat):
        heads = self._agent.world_model.heads
        seen = {name: head.mean(feat) for name, head in heads.items()}
        if self._decoder:
            seen |= self._decoder.restore(self._decoder(feat))
        return seen

    def _pack(self, latent, action):
        return self._pack_latent(latent) | {"action": action}

    def _pack_latent(self, latent):
        parts = {"deter": latent.deter, "stoch": latent.stoch}
        return {key: x for key, x in parts.items() if x.shape[-1]}

    def _unpack(self, state):
        """The `State`; the statistics that it was drawn with matter no more."""
        stoch = state["stoch"]
        deter = state.get("deter", stoch[..., :0])
        return self._rssm.initial_state(1)._replace(deter=deter, stoch=stoch)


def _next(seed):
    return seed + tf.constant([0, 1])


def _swap_time(x):
    """``[H, N, ...]`` to ``[N, H, ...]`` and back."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
