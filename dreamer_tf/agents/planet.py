"""PlaNet: planning in a latent model that is learned from pixels (arXiv:1811.04551).

Components:
  encoder, rssm, decoder, reward   the world model, learned from replayed sequences
  planner                          a search for actions in the model, at every step

An update learns the world model; nothing else is learned. To act, the agent infers the present
latent state, searches for the action sequence along which the model predicts the most reward, takes
the first action, and searches again at the next step.

Differences from the paper (more in docs/differences.md):
  * The reward's loss weighs 10 and its model has three layers of 300, as in the authors' code; the
    paper has no weight and says two layers of 200 for all dense networks.
  * The belief's deviation is the root of the elites' variance, as in the authors' code; the paper
    writes the mean of their absolute deviations.
  * The GRU is the one of Dreamer, whose reset gate acts after the recurrent product.
"""

import dataclasses
import types
from collections.abc import Mapping

import tensorflow as tf

from dreamer_tf.agents.base import (
    Agent,
    PolicyState,
    make_step,
    merge_metrics,
    update_metrics,
    weighted_sum,
)
from dreamer_tf.behaviors import (
    ActionEncoder,
    CrossEntropyPlanner,
    GaussianNoise,
    LatentModel,
    PlannerBehavior,
)
from dreamer_tf.config import Config
from dreamer_tf.nn import DenseGRU, MultiDecoder, MultiEncoder, NormalHead
from dreamer_tf.ops import count_over_replicas, quantize_image
from dreamer_tf.specs import Space
from dreamer_tf.world_model import (
    RSSM,
    SSM,
    DeterministicLatent,
    GaussianLatent,
    JointKL,
    Reconstruction,
    WorldModel,
    get_feat,
    overshooting_kl,
)

MIDDLE = 0.5
"""What stands for the dequantisation noise where images are only shown."""


class PlaNet(Agent):
    """World model and planner for continuous actions."""

    noise_axes = types.MappingProxyType({"image": 0, "overshooting": 2})

    def __init__(
        self, config: Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]
    ) -> None:
        """Builds the networks, the optimiser and the random generator.

        Args:
          config: `Config`; reads ``planet``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images and vectors.
          act_space: Dict of action key to `Space`, all continuous.

        Raises:
          ValueError: If a space does not fit.
        """
        super().__init__(config, obs_space, act_space, "planet")
        self.config = config.planet
        self.actions = _continuous_actions(act_space)
        self.world_model = self._build_world_model(config.precision)
        self.images = self.world_model.encoder.images
        planner = CrossEntropyPlanner(
            self.predicted_return, **dataclasses.asdict(self.config.planner)
        )
        self.acting = PlannerBehavior(planner, self.world_model.rssm.latent, self.actions.size)
        self.explorer = GaussianNoise(self.config.exploration_noise)
        self.model_step = make_step("model", self.world_model, self.config.optimizer)

    def make_latent_model(self):
        """Filtering, imagining and planning for others, see `Agent.latent_model`."""
        return LatentModel(
            self.world_model, self.actions, self.acting, self.prepare, decoder=self.decoder
        )

    def _build_world_model(self, dtype):
        config, obs_space = self.config, self.obs_space
        dense = {"activation": config.activation, "dtype": dtype}
        keyed = {"vector_activation": config.activation, "dtype": dtype}
        encoder = MultiEncoder(
            obs_space, **dataclasses.asdict(config.encoder), **keyed, name="encoder"
        )
        rssm = _transition_model(config, **dense)
        rssm.build(encoder.output_size, self.actions.size)
        decoder = MultiDecoder(
            obs_space,
            rssm.feat_size,
            **dataclasses.asdict(config.decoder),
            **keyed,
            name="decoder",
        )
        reward = NormalHead(**dataclasses.asdict(config.reward), **dense, name="reward")
        reward.build(rssm.feat_size)
        objective = Reconstruction(decoder, dict.fromkeys(obs_space, 1.0))
        self.loss_scales = objective.scales | {
            "reward": config.reward_scale,
            "kl": config.kl_scale,
        }
        kl = JointKL(config.free_nats, "step")
        return WorldModel(encoder, rssm, objective, {"reward": reward}, kl)

    # ---------------------------------------------------------------- learning

    def update_noise(self, batch_size, length):
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of ``image``, uniform draws for each image key, ``post`` ``[T, B, S]``, and with
          latent overshooting ``overshooting`` ``[D, T, B, S]`` for D distances.
        """
        latent = self.world_model.rssm.latent
        noise = {
            "image": self._image_noise([batch_size, length], self.rng),
            "post": latent.draws(self.rng, [length, batch_size]),
        }
        if self.config.overshooting_scale:
            distance = min(self.config.overshooting_distance, length - 1)
            noise["overshooting"] = latent.draws(self.rng, [distance, length, batch_size])
        return noise

    def _image_noise(self, leading, rng):
        shapes = {key: self.obs_space[key].shape for key in self.images}
        return {key: rng.uniform([*leading, *shape]) for key, shape in shapes.items()}

    def quantize(self, obs, noise):
        """Observations with images of few bits.

        Args:
          obs: Dict of ``[..., *shape]``, images as bytes; other keys stay as they are.
          noise: Dict of image key to uniform draws in [0, 1) of the image's shape, or to a number.
        """
        bits = self.config.image_bits
        return obs | {key: quantize_image(obs[key], bits, noise[key]) for key in self.images}

    def prepare(self, batch):
        """Rows as the world model takes them, without draws: images from the middle of each level.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
        """
        middle = dict.fromkeys(self.images, MIDDLE)
        return self.quantize(super().prepare(batch), middle)

    def update(self, batch, noise, carry=()):
        """The update, as a function of the random draws.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
          noise: As `update_noise` returns it.
          carry: Nothing: every sequence starts from the zero state.

        Returns:
          Dict of scalar metrics, and nothing as carry.
        """
        with tf.GradientTape() as tape:
            loss, metrics = self.model_loss(batch, noise)
        stepped = self.model_step.apply(loss, self.model_step.gradients(tape, loss))
        return update_metrics(metrics, stepped), carry

    def model_loss(self, batch, noise):
        """World model loss: −Σ scale · mean log-likelihood + β · mean max(KL, free nats).

        The free nats bound the KL of each step. With latent overshooting the same is added for
        predictions of two and more steps, averaged over all pairs of start and target.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
          noise: As `update_noise` returns it.

        Returns:
          Scalar loss and dict of scalar metrics.

        Reference: arXiv:1811.04551, equations 3 and 7.
        """
        batch = self.quantize(super().prepare(batch), noise["image"])
        targets = {"reward": batch["reward"]}
        losses, post, metrics = self.world_model.losses(batch, targets, noise["post"])
        total, means = weighted_sum(losses, self.loss_scales)
        metrics = merge_metrics(metrics, means)
        if self.config.overshooting_scale:
            overshooting = self._overshooting_loss(batch, post, noise["overshooting"])
            metrics = merge_metrics(metrics, {"overshooting_loss": overshooting})
            total += self.config.overshooting_scale * overshooting
        return total, metrics

    def _overshooting_loss(self, batch, post, noise):
        """Mean over all pairs of start and target of max(KL, free nats)."""
        divergence, exists = overshooting_kl(
            self.world_model.rssm, post, batch["action"], batch["is_first"], noise
        )
        bounded = tf.where(exists, tf.maximum(divergence, self.config.free_nats), 0.0)
        return tf.reduce_sum(bounded) / count_over_replicas(tf.cast(exists, tf.float32))

    # ------------------------------------------------------------------ acting

    def predicted_return(self, state, actions, noise):
        """Return of action sequences in the model: the sum of predicted mean rewards.

        ::

            start   s_0 ──a_0──► s_1 ──a_1──► s_2  …  ──a_{H-1}──► s_H
            reward               r_1          r_2                  r_H

        Args:
          state: `State` ``[N, ...]``.
          actions: ``[H, N, A]``.
          noise: ``[H, N, S]`` draws of the transition model.

        Returns:
          ``[N]``.

        Reference: arXiv:1811.04551, algorithm 2, line 6.
        """
        feat = get_feat(self.world_model.rssm.predict(actions, state, noise))
        return tf.reduce_sum(self.world_model.heads["reward"](feat), axis=0)

    def policy_noise(self, batch_size, rng, mode):
        """Every random draw of a decision, in both modes the same, see `Agent.policy_noise`.

        Returns:
          Dict of ``image``, uniform draws for each image key, ``post`` ``[N, S]``, standard normal,
          and ``action`` and ``explore``, what the search and the exploration take.
        """
        return {
            "image": self._image_noise([batch_size], rng),
            "post": self.world_model.rssm.latent.draws(rng, [batch_size]),
            "action": self.acting.draws(rng, batch_size, mode),
            "explore": self.explorer.draws(rng, [batch_size, self.actions.size]),
        }

    def act(self, obs, state, is_first, noise, mode):
        """The planned action, in training with exploration noise, see `Agent.act`."""
        latent = self.world_model.filter_step(
            self.quantize(obs, noise["image"]),
            state.latent,
            state.action,
            is_first,
            noise["post"],
        )
        action, _ = self.acting.action(latent, noise["action"], mode)
        if mode == "train":
            grad_steps = self.model_step.optimizer.iterations
            action = self.explorer(action, noise["explore"], grad_steps)
        return self.actions.decode(action), PolicyState(latent, action, {})

    @property
    def networks(self):
        """All networks, see `Agent.networks`."""
        return self.world_model.networks


def _transition_model(config, **dense):
    """The transition model that ``config.transition`` names, not built yet."""
    sizes = config.rssm

    def recurrent(latent):
        cell = DenseGRU(sizes.deter, sizes.hidden, **dense, name="cell")
        return RSSM(cell, latent, sizes.hidden, **dense, name="rssm")

    make = {
        "rssm": lambda: recurrent(GaussianLatent(sizes.stoch, sizes.min_std)),
        "rnn": lambda: recurrent(DeterministicLatent(sizes.stoch, sizes.min_std)),
        "ssm": lambda: SSM(
            GaussianLatent(sizes.stoch, sizes.min_std), sizes.hidden, **dense, name="rssm"
        ),
    }
    return make[config.transition]()


def _continuous_actions(act_space):
    described = ", ".join(f"{key}: {space}" for key, space in act_space.items())
    if any(space.is_discrete for space in act_space.values()):
        raise ValueError(f"PlaNet's planner searches continuous actions; got {described}")
    return ActionEncoder(act_space)
