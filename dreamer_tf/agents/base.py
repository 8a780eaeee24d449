"""What every agent is: it acts on observations, and it learns from batches.

A paper fills in four functions, two for acting and two for learning. Of each pair the first makes
every random draw and the second computes with them, so that recorded draws can be fed in::

    policy(obs, state, mode)  =  act(obs, state, is_first, policy_noise(N, rng, mode), mode)
    train_step(batch, carry)  =  update(batch, update_noise(B, T), carry)

The left sides stand here, each compiled once.
"""

import abc
import functools
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.behaviors import ActionEncoder, GuidedPlanner, LatentModel
from dreamer_tf.config import Config, OptimizerConfig, save
from dreamer_tf.export.errors import ExportError
from dreamer_tf.export.functions import ExportedFunctions, in_float32
from dreamer_tf.export.native_actions import NativeActions
from dreamer_tf.export.saved_model import write
from dreamer_tf.ops import FlatFunction, leading_size
from dreamer_tf.optim import DecayedAdam, GlobalNormClip, GradientStep
from dreamer_tf.specs import Space, row_spaces
from dreamer_tf.world_model import DecoderDiagnostic, OpenLoop, WorldModel

Mode = Literal["train", "eval"]
MODES = get_args(Mode)


class PolicyState(NamedTuple):
    """What an agent knows from one step of acting to the next.

    Attributes:
      latent: Posterior `State` ``[N, ...]`` of the last observation.
      action: ``[N, A]``, the agent's own vector, that was taken in it.
      carry: What the replay keeps of it with the row that the action leads to, see
        `Agent.carry_space`.
      plan: ``[N, H, A]``, what is left of the last plan, where a `GuidedPlanner` acts.
    """

    latent: tuple
    action: tf.Tensor
    carry: dict[str, tf.Tensor]
    plan: tf.Tensor | tuple[()] = ()


class Agent(tf.Module, abc.ABC):
    """Acts on observations and learns from batches.

    All variables exist after construction, optimiser slots and the random generator included, and
    ``tf.train.Checkpoint(agent=agent)`` saves and restores all of them.

    Attributes:
      rng: ``tf.random.Generator`` of all its random draws.
      world_model: `WorldModel`, which papers' constructors set.
      actions: `ActionEncoder`, likewise. An agent that learns nothing has neither.
      planner: `GuidedPlanner`, where one acts in place of the actor.
      diagnostic: `DecoderDiagnostic`, where a decoder learns beside the world model.
      noise_axes: Axis over sequences of draws of `update_noise`, by key; where not named, 1.
    """

    world_model: WorldModel
    actions: ActionEncoder
    planner: GuidedPlanner | None = None
    diagnostic: DecoderDiagnostic | None = None
    noise_axes: Mapping[str, int] = {}

    def __init__(
        self,
        config: Config,
        obs_space: Mapping[str, Space],
        act_space: Mapping[str, Space],
        name: str,
    ) -> None:
        """Prepares what agents share.

        Args:
          config: `Config`.
          obs_space: Dict of observation key to `Space`.
          act_space: Dict of action key to `Space`.
          name: Name of the algorithm.
        """
        super().__init__(name=name)
        # Held in one untracked place: tf.Module would wrap the dicts for checkpoints.
        self._spaces = (tuple(obs_space.items()), tuple(act_space.items()))
        self._native_act_space = self._spaces[1]
        self._config = config
        # As the key: seeds that only moved the counter would share all but a few numbers.
        self.rng = tf.random.Generator.from_key_counter(config.seed, [0, 0], alg="philox")
        self._train = tf.function(self._draw_and_update, autograph=False, jit_compile=config.jit)

    @property
    def obs_space(self) -> dict[str, Space]:
        """Dict of observation key to `Space`."""
        return dict(self._spaces[0])

    @property
    def act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`."""
        return dict(self._spaces[1])

    @property
    def native_act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`: the actions as the environment itself takes them.

        `policy` answers in `act_space`, an export in this one. Until it is set, they are equal.
        """
        return dict(self._native_act_space)

    @native_act_space.setter
    def native_act_space(self, spaces: Mapping[str, Space]) -> None:
        self._native_act_space = tuple(spaces.items())

    # ------------------------------------------------------------------ acting

    def initial_state(self, batch_size: int | tf.Tensor) -> PolicyState:
        """`PolicyState` before any step: zeros."""
        return PolicyState(
            self.world_model.rssm.initial_state(batch_size),
            tf.zeros([batch_size, self.actions.size]),
            {k: tf.zeros([batch_size, *s.shape], s.dtype) for k, s in self.carry_space.items()},
            self.planner.initial_plan(batch_size) if self.planner else (),
        )

    def policy(
        self,
        obs: Mapping[str, Any],
        state: PolicyState | None = None,
        mode: Mode = "train",
    ) -> tuple[dict[str, np.ndarray], PolicyState]:
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
          ValueError: If one has the wrong shape or other numbers, or state or mode do not fit.
        """
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}; got {mode!r}")
        single, arrays = self._arrange(obs)
        size = len(next(iter(arrays.values())))
        begins = obs.get("is_first", np.full(size, state is None))
        is_first = np.asarray(begins, bool).reshape(size)
        state = self.initial_state(size) if state is None else state
        if len(state.action) not in (0, size):  # The random agent's is empty.
            raise ValueError(f"expected the state of {size} environments, got {len(state.action)}")
        actions, state = self._policies[mode](size, arrays, state, is_first)
        arrays = {key: action.numpy() for key, action in actions.items()}
        return {key: a[0] if single else a for key, a in arrays.items()}, state

    @functools.cached_property
    def _policies(self):
        return {mode: FlatFunction(functools.partial(self._draw_and_act, mode)) for mode in MODES}

    def _arrange(self, obs):
        """Checks observations and gives them a batch axis; says whether it was missing."""
        arrays, singles = {}, set()
        for key, space in self.obs_space.items():
            if key not in obs:
                raise KeyError(f"observation {key!r} is missing; got {', '.join(obs)}")
            array = space.convert(key, obs[key])
            ndims = len(space.shape)
            if array.shape[array.ndim - ndims :] != space.shape or array.ndim - ndims > 1:
                wanted = f"expected [N, *{space.shape}] or {space.shape}, got {array.shape}"
                raise ValueError(f"observation {key!r}: {wanted}")
            singles.add(array.ndim == ndims)
            arrays[key] = array if array.ndim > ndims else array[None]
        if len(singles) > 1:
            raise ValueError("some observations have a batch axis and others have none")
        return singles.pop(), arrays

    def _draw_and_act(self, mode, obs, state, is_first):
        noise = self.policy_noise(leading_size(is_first), self.rng, mode)
        return self.act(obs, state, is_first, noise, mode)

    @abc.abstractmethod
    def policy_noise(self, batch_size: int | tf.Tensor, rng: Any, mode: Mode) -> Any:
        """Every random draw of a decision.

        Args:
          batch_size: Environments (N), an int, or a scalar tensor where the graph leaves it open.
          rng: Has ``normal(shape)`` and ``uniform(shape)``, as a ``tf.random.Generator``: the
            agent's own in `policy`, draws that depend on nothing but the state in an export.
          mode: As for `policy`.

        Returns:
          Dict of draws, as `act` takes them.
        """

    @abc.abstractmethod
    def act(
        self,
        obs: Mapping[str, tf.Tensor],
        state: PolicyState,
        is_first: tf.Tensor,
        noise: Any,
        mode: Mode,
    ) -> tuple[dict[str, tf.Tensor], PolicyState]:
        """What `policy` computes, as a function of its arguments and the weights alone.

        Args:
          obs: Dict of tensors ``[N, *shape]``; a graph may leave N open.
          state: `PolicyState`.
          is_first: ``[N]`` bool.
          noise: As `policy_noise` returns it for the mode.
          mode: As for `policy`.

        Returns:
          Dict of action key to tensor ``[N, *shape]`` and the next `PolicyState`.
        """

    # ---------------------------------------------------------------- learning

    @property
    def carry_space(self) -> dict[str, Space]:
        """What the replay should keep of the agent's state with each row: dict of key to `Space`.

        Sequences then start from what the agent knew before their first row, not from nothing. The
        keys and shapes are those of `initial_carry`, without B. Empty (the default): nothing is
        kept, though `initial_carry` may still go on from batch to batch.
        """
        return {}

    def initial_carry(self, batch_size: int | tf.Tensor) -> dict[str, tf.Tensor] | tuple[()]:
        """What sequences start from when nothing came before: a dict of tensors ``[B, ...]``.

        An empty tuple (the default): the agent starts every sequence from nothing.
        """
        return ()

    def train_step(
        self, batch: dict[str, tf.Tensor], carry: dict[str, tf.Tensor] | tuple[()]
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor] | tuple[()]]:
        """One update.

        Args:
          batch: Dict of tensors ``[B, T, ...]``, see `dreamer_tf.specs`.
          carry: What each sequence starts from, ``[B, ...]`` as `initial_carry` returns it. It is
            that at first; where a sequence goes on from the last batch, what was returned for its
            last row; otherwise what the replay kept (`carry_space`). Rows that are ``is_first``
            forget it.

        Returns:
          Dict of scalar metric tensors, with ``nonfinite`` (1 if anything of the update was
          skipped), and the carry after each row: the structure of ``carry``, ``[B, T, ...]``. An
          empty tuple if the carry is one.
        """
        return self._train(batch, carry)

    def trace_update(self, batch_size: int, length: int) -> None:
        """Traces `train_step` for batches ``[B, T]`` ahead, maybe in a thread beside acting."""
        spaces = row_spaces(self.obs_space, self.act_space)
        batch = {
            key: tf.TensorSpec([batch_size, length, *space.shape], space.dtype)
            for key, space in spaces.items()
        }
        self._train.get_concrete_function(batch, self.initial_carry(batch_size))

    def _draw_and_update(self, batch, carry):
        return self.update(batch, self.update_noise(*batch["reward"].shape), carry)

    @abc.abstractmethod
    def update_noise(self, batch_size: int, length: int) -> dict[str, Any]:
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of draws, as `update` takes them.
        """

    @abc.abstractmethod
    def update(
        self,
        batch: dict[str, tf.Tensor],
        noise: Mapping[str, Any],
        carry: dict[str, tf.Tensor] | tuple[()] = (),
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor] | tuple[()]]:
        """The update of `train_step`, as a function of the random draws of `update_noise`."""

    def prepare(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Rows of experience as the world model takes them, actions as vectors.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
        """
        return batch | {"action": self.actions.encode(batch)}

    # -------------------------------------------------------------- looking on

    def report(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Looks into the model without training it: open-loop prediction, see `OpenLoop`.

        Args:
          batch: As for `train_step`.

        Returns:
          Dict of scalars, and of uint8 videos ``[B, T, height, width, channels]`` under keys that
          start with ``openloop/``. Empty where no decoder learns.
        """
        return self._open_loop(self.prepare(batch)) if self._open_loop else {}

    @functools.cached_property
    def _open_loop(self) -> OpenLoop | None:
        if not self.latent_model or not self.decoder:
            return None
        return OpenLoop(self.world_model, self.decoder, self.rng)

    @functools.cached_property
    def latent_model(self) -> LatentModel | None:
        """`LatentModel` for those who look into the model or export it; None: there is none."""
        return self.make_latent_model()

    def make_latent_model(self) -> LatentModel | None:
        """What `latent_model` is; None (the default): the agent has no world model."""
        return None

    @property
    def decoder(self) -> keras.Model | None:
        """What decodes the features, whether they learn from it or not; None: nothing does."""
        return (self.diagnostic or self.world_model.objective).decoder

    @property
    def networks(self) -> dict[str, keras.Model]:
        """Dict of component name to Keras model; empty (the default): the agent has no weights."""
        return {}

    def parameter_counts(self) -> dict[str, int]:
        """Dict of component name to its number of weights."""
        return {name: network.count_params() for name, network in self.networks.items()}

    def export(
        self,
        path: str | os.PathLike,
        *,
        native_actions: Mapping[str, Space] | None = None,
        litert: bool = True,
        onnx: bool = False,
        info: Mapping[str, Any] | None = None,
    ) -> tuple[pathlib.Path, str | None]:
        """Writes the policy as a SavedModel that TensorFlow alone can run, see docs/export.md.

        Args:
          path: Folder to make.
          native_actions: Dict of action key to the `Space` of actions that the export answers in;
            None: `native_act_space`, which an agent from a run knows.
          litert: Whether to write a LiteRT file, too, if its operations allow.
          onnx: Whether to write an ONNX file, too; needs the extra ``onnx``.
          info: Dict of JSON values that ``export.json`` should hold too.

        Returns:
          The folder, and why there is no LiteRT file: None if there is one, or none was wanted.

        Raises:
          ExportError: If there is nothing to export, the folder is taken, or something is unfit.
        """
        if not self.networks:
            raise ExportError(f"the agent {self.name!r} has no networks to export")
        native = NativeActions(self.act_space, native_actions or self.native_act_space)
        policy = ExportedFunctions(in_float32(self, self._config), native).policy()
        outcome = write(policy, path, with_litert=litert, with_onnx=onnx, info=info)
        save(self._config, path)  # What an evaluation of the export makes the environment of.
        return outcome


def make_step(
    name: str,
    network: Any,
    config: OptimizerConfig,
    beside: Iterable[Any] = (),
) -> GradientStep:
    """The gradient step of one of several optimisers.

    Args:
      name: Prefix of its metrics.
      network: What has ``trainable_variables``.
      config: `OptimizerConfig`.
      beside: Further networks that it moves.
    """
    variables = [v for part in (network, *beside) for v in part.trainable_variables]
    options = {"epsilon": config.epsilon, "decay": config.weight_decay, "name": f"{name}_adam"}
    optimizer = DecayedAdam(learning_rate=config.learning_rate, **options)
    return GradientStep(name, variables, optimizer, GlobalNormClip(config.grad_clip))


def weighted_sum(
    losses: Mapping[str, tf.Tensor], scales: Mapping[str, float]
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The loss that an optimiser sees: Σ scale · mean of each named loss.

    Args:
      losses: Dict of name to a loss of any shape.
      scales: Dict of the same names to weights.

    Returns:
      Scalar, and dict of the means without their weights, ``<name>_loss``.

    Raises:
      ValueError: If a loss has no scale, or a scale no loss.
    """
    if losses.keys() != scales.keys():
        raise ValueError(f"losses {sorted(losses)} do not match scales {sorted(scales)}")
    means = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
    total = sum(scale * means[name] for name, scale in scales.items())
    return total, {f"{name}_loss": mean for name, mean in means.items()}


def merge_metrics(*parts: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Joins dicts of metrics.

    Raises:
      ValueError: If two share a name, as when an observation is called like a network.
    """
    merged: dict[str, tf.Tensor] = {}
    for part in parts:
        if taken := merged.keys() & part.keys():
            raise ValueError(
                f"two metrics are called {', '.join(sorted(taken))}: an observation must not have "
                "the name of a loss or a network"
            )
        merged |= part
    return merged


def update_metrics(*parts: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Joins those of an update, and says in ``nonfinite`` whether any of its steps was skipped."""
    metrics = merge_metrics(*parts)
    skipped = [metrics.pop(name) for name in list(metrics) if name.endswith("_nonfinite")]
    return metrics | {"nonfinite": tf.reduce_max(skipped)}
