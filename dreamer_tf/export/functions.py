"""What of an agent goes into an export: its decisions and its predictions as plain functions.

For agents with a ``latent_model``: all that learn.
"""

import dataclasses
import os
import tempfile

import tensorflow as tf

from dreamer_tf.export.draws import RowDraws
from dreamer_tf.export.saved_model import Policy
from dreamer_tf.ops import leading_size, swap_time


def in_float32(agent, config):
    """The agent, or one with its weights that computes in float32.

    LiteRT and ONNX have no products of bfloat16, and who plays an export may have no processor for
    them. The weights are float32 in any case.

    Args:
      agent: Agent.
      config: `Config` that it was built with.
    """
    if config.precision == "float32":
        return agent
    config = dataclasses.replace(config, precision="float32")
    twin = type(agent)(config, agent.obs_space, agent.act_space)
    with tempfile.TemporaryDirectory() as folder:
        path = tf.train.Checkpoint(agent=agent).write(os.path.join(folder, "weights"))
        tf.train.Checkpoint(agent=twin).read(path).assert_consumed()
    return twin


class ExportedFunctions:
    """An agent's functions on flat states.

    A state is a dict of ``deter`` ``[N, D]`` (if there is any), ``stoch`` ``[N, S]``, ``action``
    ``[N, A]``, the agent's own vector, ``plan`` ``[N, H, A]``, what is left of the last plan (if
    the agent keeps any), and ``seed`` ``[N, 2]``, which decides what is drawn next and counts on
    with every decision.
    """

    def __init__(self, agent, native):
        """Takes the agent apart.

        Args:
          agent: Agent.
          native: `NativeActions`.
        """
        self._agent = agent
        self._native = native
        self._model = agent.latent_model

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
            predictions=self._model.predictions,
            networks=self._agent.networks,
        )

    def _state_specs(self):
        state = self.initial_state(1)
        return {key: tf.TensorSpec(x.shape[1:], x.dtype) for key, x in state.items()}

    def initial_state(self, batch_size):
        """The state before any step; row i draws with the seed (i, 0).

        Args:
          batch_size: N, an int or a scalar tensor.
        """
        before = self._agent.initial_state(batch_size)
        rows = tf.range(batch_size)
        packed = _pack(before.latent, before.action, before.plan)
        return packed | {"seed": tf.stack([rows, tf.zeros_like(rows)], 1)}

    def act(self, obs, state, is_first, mode):
        """`Agent.act` in the environment's own actions, with draws that the state decides.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Dict of ``[N, ...]``.
          is_first: ``[N]`` bool.
          mode: As for `Agent.policy`.

        Returns:
          Dict of actions ``[N, *shape]`` and the next state.
        """
        seed = state["seed"]
        actions, after = self._act(obs, state, is_first, mode, RowDraws(seed))
        return actions, after | {"seed": _next(seed)}

    def act_with_draws(self, obs, state, is_first, draws):
        """`act` in the mode ``eval``, without ``seed`` in the state.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Dict of ``[N, ...]``.
          is_first: ``[N]`` bool.
          draws: Generator such as `FedDraws`.
        """
        return self._act(obs, state, is_first, "eval", draws)

    def _act(self, obs, state, is_first, mode, draws):
        agent, size = self._agent, leading_size(is_first)
        before = agent.initial_state(size)._replace(action=state["action"])
        before = before._replace(plan=state.get("plan", ()))
        latent = before.latent._replace(**_latent_parts(state))
        noise = agent.policy_noise(size, draws, mode)
        actions, after = agent.act(obs, before._replace(latent=latent), is_first, noise, mode)
        return self._native.to_native(actions), _pack(after.latent, after.action, after.plan)

    def imagine(self, state, actions):
        """What the model expects along given actions, without observations.

        Args:
          state: Dict of ``[N, ...]``.
          actions: Dict of the environment's actions ``[N, H, *shape]``, the first one taken in
            ``state``.

        Returns:
          Dict of ``[N, H, ...]`` about the states that the actions lead to: ``reward``; ``cont``,
          the continue model's output, if there is one; and the observations, if they are decoded.
          And the state after the last action, where a plan counts as used up.
        """
        model, native = self._model, self._native
        initial = model.initial(leading_size(state["stoch"]))

        def step(before, taken):
            latent, seed, _ = before
            own = native.from_native(taken)
            after = model.step(latent, own, RowDraws(seed))
            return after, _next(seed), self._agent.actions.encode(own)

        first = initial._replace(**_latent_parts(state)), state["seed"], state["action"]
        along = tf.scan(step, tf.nest.map_structure(swap_time, actions), first)
        latents, _, _ = tf.nest.map_structure(swap_time, along)
        latent, seed, action = tf.nest.map_structure(lambda x: x[-1], along)
        plan = self._agent.initial_state(leading_size(action)).plan
        last = _pack(latent, action, plan) | {"seed": seed}
        return model.predict(latents), last


def _pack(latent, action, plan):
    parts = {"deter": latent.deter, "stoch": latent.stoch}
    parts = {key: x for key, x in parts.items() if x.shape[-1]}
    plans = {} if isinstance(plan, tuple) else {"plan": plan}
    return parts | {"action": action} | plans


def _latent_parts(state):
    """Those of a flat state that a latent one has; an empty ``deter`` is left out of it."""
    return {key: state[key] for key in ("deter", "stoch") if key in state}


def _next(seed):
    return seed + tf.constant([0, 1])
