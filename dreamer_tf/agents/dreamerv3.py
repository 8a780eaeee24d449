"""DreamerV3: mastering diverse domains with one set of hyperparameters (arXiv:2301.04104).

Components:
  encoder, rssm, reward, cont            the world model; its cell works in blocks
  decoder, or what an objective without  what else its features learn from (``objective``, built in
  one brings                             ``decoder_free.py`` where it is not reconstruction)
  actor                                  policy over any mix of continuous and discrete actions
  critic, slow critic                    distribution over returns, and its moving average

An update filters the replayed sequences, imagines from every posterior state, and adds up the
losses of world model, actor and critic; one optimiser moves all networks. Nothing of the imagined
trajectories carries a gradient: the actor learns by REINFORCE for every kind of action. The critic
also learns from the replayed rewards, and that part shapes the world model too.
Sequences start from the carry that the replay keeps with each row; the update returns it anew.

Differences from the paper and the authors' code (more in docs/differences.md):
  * Evaluation takes the mode action; the authors' code samples then too.
  * Features are [stoch, deter] for all networks; their code has both orders. Nothing changes.
  * An update whose loss or gradient is not finite is skipped.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import tensorflow as tf

from dreamer_tf.agents import decoder_free
from dreamer_tf.agents.base import Agent, PolicyState, update_metrics, weighted_sum
from dreamer_tf.agents.dreamerv3_behavior import ActorCritic
from dreamer_tf.agents.harmony import make_harmony
from dreamer_tf.behaviors import (
    ActionEncoder,
    ActorBehavior,
    GuidedPlanner,
    LatentModel,
    Valuation,
    kept,
)
from dreamer_tf.config import Config
from dreamer_tf.nn import (
    BernoulliHead,
    BlockGRU,
    Pyramid,
    PyramidDecoder,
    PyramidEncoder,
    SymlogDecoder,
    SymlogEncoder,
    TwoHotHead,
    rms_silu_layers,
    select_keys,
)
from dreamer_tf.ops import flatten_time, open_shape, swap_time
from dreamer_tf.optim import AdaptiveClip, GradientStep, LaProp, learning_rate
from dreamer_tf.specs import Space
from dreamer_tf.world_model import (
    RSSM,
    CategoricalLatent,
    DecoderDiagnostic,
    Reconstruction,
    SplitKL,
    WorldModel,
    effective_rank,
    get_feat,
)


class DreamerV3(Agent):
    """World model, actor and critic for every kind of observation and action."""

    def __init__(
        self, config: Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]
    ) -> None:
        """Builds all networks, the optimiser and the random generator.

        Args:
          config: `Config`; reads ``dreamerv3``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images, numbers, categories and flags.
          act_space: Dict of action key to `Space`, float32 or int32.

        Raises:
          ValueError: If a space does not fit, or no observation is selected.
        """
        super().__init__(config, obs_space, act_space, "dreamerv3")
        self.config = config.dreamerv3
        self.actions = ActionEncoder(act_space)
        self.world_model = self._build_world_model(config.precision)
        self.behavior = ActorCritic(
            self.config, self.world_model.rssm.feat_size, self.actions, dtype=config.precision
        )
        self.planner = self._build_planner()
        self.harmony = make_harmony(self.config, self.world_model.objective)
        networks = self._trained_networks().values()
        self.step = self._build_step("model", [v for n in networks for v in n.trainable_variables])
        # Last, so that it changes no initial weight.
        self.diagnostic = self._build_diagnostic(config.precision)

    def make_latent_model(self):
        """Filtering, imagining and judging for others, see `Agent.latent_model`."""
        discount = 1.0 - 1.0 / self.config.horizon
        return LatentModel(
            self.world_model,
            self.actions,
            self.planner or ActorBehavior(self.behavior.actor),
            self.prepare,
            decoder=self.decoder,
            valuation=Valuation(self.behavior.critic, discount, counts_arrival=False),
            cont_scale=self._cont_scale,
        )

    def _build_world_model(self, dtype):
        config = self.config
        encoder = self._build_encoder(dtype, "encoder")
        rssm = self._build_rssm(encoder.output_size, dtype)
        objective = self.make_objective(encoder, rssm, dtype)
        sizes = (config.reward.layers, config.reward.units, config.reward.bins)
        reward = TwoHotHead(*sizes, dtype=dtype, name="reward", **rms_silu_layers(out_scale=0.0))
        cont = BernoulliHead(
            config.cont.layers, config.cont.units, dtype=dtype, name="cont", **rms_silu_layers()
        )
        reward.build(rssm.feat_size)
        cont.build(rssm.feat_size)
        names = ("reward", "cont", "dyn", "rep", "policy", "value", "replay_value")
        scales = {name: getattr(config.loss_scales, name) for name in names}
        taken = sorted(objective.scales.keys() & scales.keys())
        if taken:
            raise ValueError(
                f"an observation or objective must not be called {taken}, as losses are"
            )
        self.loss_scales = objective.scales | scales
        return WorldModel(
            encoder,
            rssm,
            objective,
            {"reward": reward, "cont": cont},
            SplitKL(config.free_nats),
            detached=() if config.reward_gradient else ("reward",),
        )

    def make_objective(self, encoder, rssm, dtype):
        """What shapes the representation besides rewards, ends and the KL terms, an `Objective`."""
        if self.config.objective != "reconstruction":
            slow_encoder = functools.partial(self._build_encoder, dtype, "slow_encoder")
            return decoder_free.make_objective(
                self.config, encoder, slow_encoder, rssm.feat_size, dtype
            )
        decoder = self._build_decoder(rssm, dtype)
        scale = self.config.loss_scales.reconstruction
        return Reconstruction(decoder, dict.fromkeys(decoder.keys, scale))

    def _build_encoder(self, dtype, name):
        config = self.config.encoder
        return SymlogEncoder(
            select_keys(self.obs_space, config.keys, config.keys, "encoder"),
            PyramidEncoder(self._pyramid(), dtype=dtype, name="cnn"),
            config.layers,
            config.units,
            symlog=config.symlog,
            dtype=dtype,
            name=name,
        )

    def _build_decoder(self, rssm, dtype):
        config = self.config.decoder
        return SymlogDecoder(
            select_keys(self.obs_space, config.keys, config.keys, "decoder"),
            (rssm.latent.size, rssm.cell.deter),
            PyramidDecoder(self._pyramid(), config.units, config.blocks, dtype=dtype, name="cnn"),
            config.layers,
            config.units,
            symlog=config.symlog,
            number_loss=config.number_loss,
            dtype=dtype,
            name="decoder",
        )

    def _pyramid(self):
        config = self.config.pyramid
        return Pyramid(
            config.depth,
            config.multiples,
            kernel_size=config.kernel,
            resampling=config.resampling,
            outer=config.outer,
        )

    def _build_rssm(self, embed_size, dtype):
        config = self.config.rssm
        sizes = (config.deter, config.hidden, config.blocks)
        cell = BlockGRU(*sizes, layers=config.layers, dtype=dtype, name="cell")
        rssm = RSSM(
            cell,
            CategoricalLatent(config.stoch, config.classes, config.unimix),
            config.hidden,
            prior_layers=config.prior_layers,
            post_layers=config.post_layers,
            absolute=config.absolute,
            dtype=dtype,
            name="rssm",
            **rms_silu_layers(),
        )
        rssm.build(embed_size, self.actions.size)
        return rssm

    def _build_planner(self):
        """What acts in place of the actor; None: nothing does."""
        if self.config.policy == "actor":
            return None
        rssm, heads, behavior = self.world_model.rssm, self.world_model.heads, self.behavior
        evaluate = functools.partial(behavior.planned_return, heads["reward"], heads["cont"])
        options = dataclasses.asdict(self.config.planner)
        return GuidedPlanner(rssm, behavior.actor, evaluate, self.actions, **options)

    def _build_diagnostic(self, dtype):
        """What trains a decoder where the world model does not; None: nothing has to."""
        if self.world_model.objective.decoder or not self.config.diagnostic_decoder:
            return None
        decoder = self._build_decoder(self.world_model.rssm, dtype)
        return DecoderDiagnostic(decoder, self._build_step("decoder", decoder.trainable_variables))

    def _build_step(self, name, variables):
        config = self.config.optimizer
        optimizer = LaProp(
            learning_rate(config),
            beta_1=config.beta1,
            beta_2=config.beta2,
            epsilon=config.epsilon,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay or None,
        )
        if config.weight_decay:
            kept = [v for v in variables if not v.name.startswith("kernel")]
            optimizer.exclude_from_weight_decay(var_list=kept)
        return GradientStep(name, variables, optimizer, AdaptiveClip(config.grad_clip or math.inf))

    def _trained_networks(self):
        """Those that the one optimiser moves."""
        networks = self.world_model.networks | self.behavior.networks
        return networks | (self.harmony.networks if self.harmony else {})

    # ------------------------------------------------------------------- carry

    @property
    def carry_space(self):
        """Deterministic state, and the stochastic one as classes counted from 1.

        Zeros then stand for the state before any step, whose ``stoch`` is zeros, not one-hot.
        """
        rssm = self.config.rssm
        return {
            "deter": Space("float32", (rssm.deter,)),
            "stoch": Space("uint8", (rssm.stoch,), 0, rssm.classes),
        }

    def initial_carry(self, batch_size):
        """The state before any step."""
        return self._to_carry(self.world_model.rssm.initial_state(batch_size))

    def _to_carry(self, state):
        """`State` to the form of `carry_space`."""
        rssm, leading = self.config.rssm, open_shape(state.stoch.shape[:-1])
        one_hots = tf.reshape(state.stoch, [*leading, rssm.stoch, rssm.classes])
        classes = tf.argmax(one_hots, -1, output_type=tf.int32) + 1
        classes = tf.where(tf.reduce_any(one_hots > 0.5, -1), classes, 0)
        return {"deter": state.deter, "stoch": tf.cast(classes, tf.uint8)}

    def _from_carry(self, carry):
        rssm = self.world_model.rssm
        classes = tf.cast(carry["stoch"], tf.int32) - 1
        stoch = tf.one_hot(classes, self.config.rssm.classes)
        stoch = tf.reshape(stoch, [*stoch.shape[:-2], rssm.latent.size])
        return rssm.state(carry["deter"], stoch)

    # ---------------------------------------------------------------- learning

    def update_noise(self, batch_size, length):
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of ``post`` ``[T, B, V]``, of what `ActorCritic.imagination_noise` returns,
          ``[H, N, ...]``, and of the objective's own.
        """
        latent = self.world_model.rssm.latent
        noise = {"post": latent.draws(self.rng, [length, batch_size])}
        starts = batch_size * self._starts(length)
        noise |= self.behavior.imagination_noise(self.rng, latent, starts)
        return noise | self.world_model.objective.draws(self.rng, latent, batch_size, length)

    def _starts(self, length):
        """How many states of a sequence imagination starts from, the last ones (K)."""
        return min(self.config.imag_last or length, length)

    def update(self, batch, noise, carry=()):
        """The update, as a function of the random draws.

        ::

            row           0      1      2     ...   T-1
            world model   l_0    l_1    l_2         l_{T-1}     all keys, reward, cont, dyn, rep
            imagination   ▼      ▼      ▼           ▼           starts from all posterior states,
            policy, value l_0    l_1    l_2         l_{T-1}     or the last K: mean over H steps
            replay value  l_0    l_1    l_2         (–)         bootstraps from the imagined returns

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
          noise: As `update_noise` returns it.
          carry: What the sequences start from, see `carry_space`; nothing: the zero state.

        Returns:
          Dict of scalar metrics, and the carry after each row.
        """
        batch = self.prepare(batch)
        start = self._from_carry(carry or self.initial_carry(len(batch["reward"])))
        count, objective = self._starts(batch["reward"].shape[1]), self.world_model.objective
        views = objective.views(batch, noise, start)
        with tf.GradientTape() as tape:
            losses, post, metrics = self.model_losses(batch, noise["post"], start, views)
            recent = tf.nest.map_structure(lambda x: x[:, -count:], post)
            with tape.stop_recording():
                imagined = self.imagine(recent, noise)
            behavior_losses, returns, learned = self.behavior_losses(batch, recent, *imagined)
            weigh = self.harmony or weighted_sum
            total, means = weigh(losses | behavior_losses, self.loss_scales)
        stepped = self.step.apply(total, self.step.gradients(tape, total))
        self.behavior.follow(returns, stepped["model_nonfinite"])
        objective.follow(stepped["model_nonfinite"])
        parts = [means, metrics, learned, stepped]
        if self.diagnostic:
            parts.append(self.diagnostic.update(batch, get_feat(post)))
        return update_metrics(*parts), self._to_carry(post)

    def model_losses(self, batch, noise, start, views=None):
        """Losses of the world model, see `WorldModel.losses`.

        The continue model learns whether anything follows, and with ``cont_discount`` how much that
        is worth: γ or nothing.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: ``[T, B, V]`` draws of the posterior.
          start: `State` ``[B, ...]`` before the first rows.
          views: What the objective looks at, see `Objective.views`.

        Returns:
          Dict of losses, ``[B, T]`` but for those of some objectives, posterior `State`
          ``[B, T, ...]``, dict of scalar metrics.

        Reference: arXiv:2301.04104, equations 2 and 3.
        """
        alive = 1.0 - tf.cast(batch["is_terminal"], tf.float32)
        targets = {"reward": batch["reward"], "cont": self._cont_scale * alive}
        losses, post, metrics = self.world_model.losses(batch, targets, noise, start, views)
        return losses, post, metrics | {"feat_rank": effective_rank(get_feat(post))}

    @property
    def _cont_scale(self):
        """What the continue model learns where an episode goes on: 1, with ``cont_discount`` γ."""
        return 1.0 - 1.0 / self.config.horizon if self.config.cont_discount else 1.0

    def imagine(self, post, noise):
        """Trajectories from posterior states, and what the world model expects of them.

        Args:
          post: `State` ``[B, K, ...]``; N = B·K start states.
          noise: Dict of ``imagine`` and ``action`` draws, see `update_noise`.

        Returns:
          `Trajectory`, rewards ``[H+1, N]`` and probabilities to continue ``[H+1, N]``.
        """
        start = tf.nest.map_structure(flatten_time, post)
        trajectory = self.behavior.imagine(self.world_model.rssm, start, noise)
        heads = self.world_model.heads
        reward = trajectory.map(lambda feat: heads["reward"].dist(feat).mean())
        cont = trajectory.map(lambda feat: tf.sigmoid(heads["cont"](feat)))
        return trajectory, reward, cont

    def behavior_losses(self, batch, recent, trajectory, reward, cont):
        """Losses of actor and critic, from imagined steps and from the replayed rows.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          recent: Posterior `State` ``[B, K, ...]`` of the last rows, where imagination started.
          trajectory: What `imagine` made of them.
          reward: Likewise.
          cont: Likewise.

        Returns:
          Dict of ``policy`` and ``value`` ``[B, K]``, means over the imagined steps, and
          ``replay_value`` ``[B, K-1]``; returns ``[H, B·K]``; dict of scalar metrics.
        """
        shape = batch_size, count = recent.deter.shape[:2]
        imagined, returns, metrics = self.behavior.imagined_losses(trajectory, reward, cont)
        losses = {
            name: tf.reshape(tf.reduce_mean(loss, axis=0), shape) for name, loss in imagined.items()
        }
        feat = get_feat(recent)
        if not self.config.replay_value_gradient:
            feat = tf.stop_gradient(feat)
        rows = {key: batch[key][:, -count:] for key in ("reward", "is_last", "is_terminal")}
        bootstrap = tf.reshape(returns[0], [batch_size, count])
        time_first = tf.nest.map_structure(swap_time, (feat, rows, bootstrap))
        losses["replay_value"] = swap_time(self.behavior.replay_loss(*time_first))
        return losses, returns, metrics

    # ------------------------------------------------------------------ acting

    def policy_noise(self, batch_size, rng, mode):
        """Every random draw of a decision, see `Agent.policy_noise`.

        Returns:
          Dict of ``post`` ``[N, V]`` of the posterior, and in training of ``action``, what the
          actor takes; in both modes, what the planner takes.
        """
        noise = {"post": self.world_model.rssm.latent.draws(rng, [batch_size])}
        if self.planner:
            noise["action"] = self.planner.draws(rng, batch_size, mode)
        elif mode == "train":
            noise["action"] = self.behavior.actor.draws(rng, [batch_size])
        return noise

    def act(self, obs, state, is_first, noise, mode):
        """A sampled action, or the likeliest one, or a planned one, see `Agent.act`.

        Samples beyond the limits count as those; the state remembers them as they are.
        """
        latent = self.world_model.filter_step(
            obs, state.latent, state.action, is_first, noise["post"]
        )
        plan = state.plan
        if self.planner:
            plan = kept(plan, is_first)
            action, plan = self.planner.action(latent, noise["action"], mode, plan)
        elif mode == "train":
            action = self.behavior.actor.dist(get_feat(latent)).sample(noise["action"])
        else:
            action = self.behavior.actor.mode(get_feat(latent))
        decoded = self.actions.decode(tf.clip_by_value(action, -1.0, 1.0))
        return decoded, PolicyState(latent, action, self._to_carry(latent), plan)

    @property
    def networks(self):
        """All networks, the slow copies included, as the names of the sizes count."""
        networks = self._trained_networks() | self.world_model.objective.slow_networks
        networks |= {"decoder": self.diagnostic.decoder} if self.diagnostic else {}
        return networks | {"slow_critic": self.behavior.slow_critic.network}
