"""What every agent can do."""

import abc
import functools

import numpy as np
import tensorflow as tf

from dreamer_tf.agents.exporting import ExportedFunctions
from dreamer_tf.export.errors import ExportError
from dreamer_tf.export.native_actions import NativeActions
from dreamer_tf.export.saved_model import write

MODES = ("train", "eval")


class Agent(tf.Module, abc.ABC):
    """Acts on observations and learns from batches.

    All variables exist after construction, optimiser slots and the random generator included, and
    ``tf.train.Checkpoint(agent=agent)`` saves and restores all of them.

    Attributes:
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
    """

    def __init__(self, obs_space, act_space, name):
        super().__init__(name=name)
        # Held in one untracked place: tf.Module would wrap the dicts for checkpoints.
        self._spaces = (tuple(obs_space.items()), tuple(act_space.items()))
        self._native_act_space = self._spaces[1]
        self._explore, self._exploit = (
            tf.function(functools.partial(self._decide_with_own_draws, mode), autograph=False)
            for mode in MODES
        )

    @property
    def obs_space(self):
        """Dict of observation key to `Space`."""
        return dict(self._spaces[0])

    @property
    def act_space(self):
        """Dict of action key to `Space`."""
        return dict(self._spaces[1])

    @property
    def native_act_space(self):
        """Dict of action key to `Space`: the actions as the environment itself takes them.

        `policy` answers in `act_space`, an export in this one. Until it is set, they are equal.
        """
        return dict(self._native_act_space)

    @native_act_space.setter
    def native_act_space(self, spaces):
        self._native_act_space = tuple(spaces.items())

    @abc.abstractmethod
    def initial_state(self, batch_size):
        """Policy state before any step, a nested structure of tensors ``[batch_size, ...]``."""

    def policy(self, obs, state=None, mode="train"):
        """Chooses actions.

        Args:
          obs: Dict of arrays ``[N, *shape]``, or of single observations without N. ``is_first``
            marks where an episode starts, and the state there is reset; without that key episodes
            start where ``state`` is None. Keys that are no observations are left out.
          state: What the last call returned, or None at the start.
          mode: ``train`` samples actions and explores; ``eval`` takes the mode action.

        Returns:
          Dict of action key to array ``[N, *shape]`` (no N for a single observation), continuous
          actions in [-1, 1] and discrete ones as int32 classes, and the next state.

        Raises:
          KeyError: If an observation is missing.
          ValueError: If one has the wrong shape, or the mode is unknown.
        """
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}; got {mode!r}")
        single, arrays = self._arrange(obs)
        size = len(next(iter(arrays.values())))
        default_first = np.full(size, state is None)
        is_first = np.asarray(obs.get("is_first", default_first), bool).reshape(size)
        state = self.initial_state(size) if state is None else state
        tensors = {key: tf.convert_to_tensor(array) for key, array in arrays.items()}
        actions, state = self._act(tensors, state, tf.convert_to_tensor(is_first), mode)
        actions = {key: action.numpy() for key, action in actions.items()}
        if single:
            actions = {key: action[0] for key, action in actions.items()}
        return actions, state

    def _arrange(self, obs):
        """Checks observations and gives them a batch axis; says whether it was missing."""
        arrays, singles = {}, set()
        for key, space in self.obs_space.items():
            if key not in obs:
                raise KeyError(f"observation {key!r} is missing; got {', '.join(obs)}")
            array = np.asarray(obs[key], space.dtype)
            ndims = len(space.shape)
            if array.shape[array.ndim - ndims :] != space.shape or array.ndim - ndims > 1:
                expected = f"[N, *{space.shape}] or {space.shape}"
                raise ValueError(f"observation {key!r}: expected {expected}, got {array.shape}")
            singles.add(array.ndim == ndims)
            arrays[key] = array if array.ndim > ndims else array[None]
        if len(singles) > 1:
            raise ValueError("some observations have a batch axis and others have none")
        return singles.pop(), arrays

    def _act(self, obs, state, is_first, mode):
        """`policy` on tensors ``[N, ...]``: dict of actions and the next state."""
        act = {"train": self._explore, "eval": self._exploit}[mode]
        return act(obs, state, is_first)

    def _decide_with_own_draws(self, mode, obs, state, is_first):
        return self.decide(obs, state, is_first, mode, self.rng)

    def decide(self, obs, state, is_first, mode, rng):
        """What `policy` computes, as a function of its arguments and the weights alone.

        The agent's ``rng`` is handed in by `policy`; an export hands in draws that depend on
        nothing but the state.

        Args:
          obs: Dict of tensors ``[N, *shape]``; a graph may leave N open.
          state: Policy state.
          is_first: ``[N]`` bool.
          mode: As for `policy`.
          rng: Has ``normal(shape)`` and ``uniform(shape)``, as a ``tf.random.Generator``.

        Returns:
          Dict of action key to tensor ``[N, *shape]`` and the next policy state.
        """
        raise NotImplementedError(f"{type(self).__name__} decides otherwise")

    @property
    def context_space(self):
        """What the replay should keep of the agent's memory with each row: dict of key to `Space`.

        Sequences then start from what the agent knew before their first row, not from nothing. The
        keys and shapes are those of `initial_carry`, without B. Empty (the default): nothing.
        """
        return {}

    def context(self, state):
        """The part of policy states that the replay keeps, in the form of `context_space`.

        Args:
          state: Policy state ``[N, ...]``, as `policy` returned it.

        Returns:
          Dict of arrays ``[N, ...]``; empty (the default): nothing is kept.
        """
        return {}

    def initial_carry(self, batch_size):
        """The memory before any row, as `train_step` takes it: a dict of tensors ``[B, ...]``.

        An empty tuple (the default): the agent starts every sequence from nothing.
        """
        return ()

    @abc.abstractmethod
    def train_step(self, batch, carry):
        """One update.

        Args:
          batch: Dict of tensors ``[B, T, ...]``, see `dreamer_tf.specs`.
          carry: Memory before the first row of each sequence, ``[B, ...]`` as `initial_carry`
            returns it. It is that at first; where a sequence goes on from the last batch, what was
            returned for its last row; otherwise what the replay kept (`context_space`). Rows that
            are ``is_first`` forget it.

        Returns:
          Dict of scalar metric tensors, with ``nonfinite`` (1 if anything of the update was
          skipped), and the memory after each row: the structure of ``carry``, ``[B, T, ...]``. An
          empty tuple if the carry is one.
        """

    @abc.abstractmethod
    def report(self, batch):
        """Looks into the model without training it.

        Args:
          batch: As for `train_step`.

        Returns:
          Dict of scalars, and of uint8 videos ``[B, T, height, width, channels]`` under keys that
          start with ``openloop/``.
        """

    def prepare(self, batch):
        """Rows of experience as the world model takes them: actions as vectors, rewards as learned.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no world model")

    @property
    def task_behavior(self):
        """What chooses actions for the task in a latent state, see `acting`; None: nothing does."""
        return None

    @property
    def valuation(self):
        """What latent states are worth, a `Valuation`; None (the default): nothing learns it."""
        return None

    @property
    def cont_scale(self):
        """What the continue model, if there is one, learns where an episode goes on: γ, or 1."""
        return 1.0

    def export(self, path, *, native_actions=None, litert=True, info=None):
        """Writes the policy as a SavedModel that TensorFlow alone can run, see docs/export.md.

        Args:
          path: Folder to make.
          native_actions: Dict of action key to the `Space` of actions that the export answers in;
            None: `native_act_space`, which an agent from a run knows.
          litert: Whether to write a LiteRT file, too, if its operations allow.
          info: Dict of JSON values that ``export.json`` should hold too.

        Returns:
          The folder, and why there is no LiteRT file: None if there is one, or none was wanted.

        Raises:
          ExportError: If the agent has nothing to export, the folder is taken, or the actions do
            not fit.
        """
        if not self.networks:
            raise ExportError(f"the agent {self.name!r} has no networks to export")
        native = NativeActions(self.act_space, native_actions or self.native_act_space)
        policy = ExportedFunctions(self, native).policy()
        return write(policy, path, with_litert=litert, info=info)

    @property
    def networks(self):
        """Dict of component name to Keras model; empty (the default): the agent has no weights."""
        return {}

    def parameter_counts(self):
        """Dict of component name to its number of weights."""
        return {name: network.count_params() for name, network in self.networks.items()}


def merge_metrics(*parts):
    """Joins dicts of metrics.

    Raises:
      ValueError: If two share a name, as when an observation is called like a network.
    """
    merged = {}
    for part in parts:
        taken = merged.keys() & part.keys()
        if taken:
            raise ValueError(
                f"two metrics are called {', '.join(sorted(taken))}: an observation must not have "
                "the name of a loss or a network"
            )
        merged |= part
    return merged
