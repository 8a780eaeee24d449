"""DreamerV3: mastering diverse domains with one set of hyperparameters (arXiv:2301.04104).

Components:
  encoder, rssm, decoder, reward, cont   the world model; its cell works in blocks
  actor                                  policy over any mix of continuous and discrete actions
  critic, slow critic                    distribution over returns, and its moving average

An update filters the replayed sequences, imagines from every posterior state, and adds up the
losses of world model, actor and critic; one optimiser moves all networks. Nothing of the imagined
trajectories carries a gradient: the actor learns by REINFORCE for every kind of action. The critic
also learns from the replayed rewards, and that part shapes the world model too.

Sequences start from the memory that the replay keeps with each row; the update returns it anew.

Differences from the paper and the authors' code (more in docs/differences.md):
  * Evaluation takes the mode action; the authors' code samples then too.
  * Features are [stoch, deter] for all networks; their code has both orders. Nothing changes.
  * An update whose loss or gradient is not finite is skipped.
"""

import tensorflow as tf

from dreamer_tf.agents.acting import ActorBehavior
from dreamer_tf.agents.base import merge_metrics
from dreamer_tf.agents.dreamerv3_behavior import ActorCritic
from dreamer_tf.agents.latent_model import Valuation
from dreamer_tf.agents.model_based import ModelBasedAgent
from dreamer_tf.agents.open_loop import OpenLoop
from dreamer_tf.behaviors import ActionEncoder
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
from dreamer_tf.ops import leading_size
from dreamer_tf.optim import AdaptiveClip, GradientStep, LaProp, Warmup
from dreamer_tf.specs import Space
from dreamer_tf.world_model import (
    RSSM,
    CategoricalLatent,
    Reconstruction,
    WorldModel,
    get_feat,
    split_kl,
)


class DreamerV3(ModelBasedAgent):
    """World model, actor and critic for every kind of observation and action."""

    def __init__(self, config, obs_space, act_space):
        """Builds all networks, the optimiser and the random generator.

        Args:
          config: `Config`; reads ``dreamerv3``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images, numbers, categories and flags.
          act_space: Dict of action key to `Space`, float32 or int32.

        Raises:
          ValueError: If a space does not fit, or no observation is selected.
        """
        super().__init__(obs_space, act_space, "dreamerv3")
        self.config = config.dreamerv3
        self.actions = ActionEncoder(act_space)
        self.rng = tf.random.Generator.from_seed(config.seed, alg="philox")
        self.world_model = self._build_world_model(obs_space, config.precision)
        self.behavior = ActorCritic(
            self.config, self.world_model.rssm.feat_size, self.actions, dtype=config.precision
        )
        self.step = self._build_step()
        self._train = tf.function(self._draw_and_update, autograph=False, jit_compile=config.jit)
        self._open_loop = OpenLoop(self.world_model, self.world_model.objective.decoder, self.rng)

    def _build_world_model(self, obs_space, dtype):
        config = self.config
        pyramid = Pyramid(
            config.pyramid.depth,
            config.pyramid.multiples,
            kernel_size=config.pyramid.kernel,
            resampling=config.pyramid.resampling,
            outer=config.pyramid.outer,
        )
        encoder = SymlogEncoder(
            select_keys(obs_space, config.encoder.keys, config.encoder.keys, "encoder"),
            PyramidEncoder(pyramid, dtype=dtype, name="cnn"),
            config.encoder.layers,
            config.encoder.units,
            dtype=dtype,
            name="encoder",
        )
        rssm = self._build_rssm(encoder.output_size, dtype)
        decoder = SymlogDecoder(
            select_keys(obs_space, config.decoder.keys, config.decoder.keys, "decoder"),
            (rssm.latent.size, rssm.cell.deter),
            PyramidDecoder(
                pyramid, config.decoder.units, config.decoder.blocks, dtype=dtype, name="cnn"
            ),
            config.decoder.layers,
            config.decoder.units,
            dtype=dtype,
            name="decoder",
        )
        reward = TwoHotHead(
            config.reward.layers,
            config.reward.units,
            config.bins,
            dtype=dtype,
            name="reward",
            **rms_silu_layers(out_scale=0.0),
        )
        cont = BernoulliHead(
            config.cont.layers, config.cont.units, dtype=dtype, name="cont", **rms_silu_layers()
        )
        reward.build(rssm.feat_size)
        cont.build(rssm.feat_size)
        return WorldModel(
            encoder,
            rssm,
            Reconstruction(decoder),
            {"reward": reward, "cont": cont},
            kl_terms=split_kl,
            detached=() if config.reward_gradient else ("reward",),
        )

    def _build_rssm(self, embed_size, dtype):
        config = self.config.rssm
        rssm = RSSM(
            BlockGRU(
                config.deter,
                config.hidden,
                config.blocks,
                layers=config.layers,
                dtype=dtype,
                name="cell",
            ),
            CategoricalLatent(config.stoch, config.classes, config.unimix),
            config.hidden,
            prior_layers=config.prior_layers,
            post_layers=config.post_layers,
            dtype=dtype,
            name="rssm",
            **rms_silu_layers(),
        )
        rssm.build(embed_size, self.actions.size)
        return rssm

    def _build_step(self):
        config, networks = self.config.optimizer, self._trained_networks()
        optimizer = LaProp(
            Warmup(config.learning_rate, config.warmup),
            beta_1=config.beta1,
            beta_2=config.beta2,
            epsilon=config.epsilon,
            weight_decay=config.weight_decay or None,
        )
        variables = [v for network in networks.values() for v in network.trainable_variables]
        if config.weight_decay:
            kept = [v for v in variables if not v.name.startswith("kernel")]
            optimizer.exclude_from_weight_decay(var_list=kept)
        return GradientStep("model", variables, optimizer, AdaptiveClip(config.grad_clip))

    def _trained_networks(self):
        return self.world_model.networks | self.behavior.networks

    # ------------------------------------------------------------------ memory

    @property
    def context_space(self):
        """Deterministic state, and the stochastic one as classes counted from 1.

        Zeros then stand for the state before any step, whose ``stoch`` is zeros, not one-hot.
        """
        rssm = self.config.rssm
        return {
            "deter": Space("float32", (rssm.deter,)),
            "stoch": Space("uint8", (rssm.stoch,), 0, rssm.classes),
        }

    def context(self, state):
        """The latent state of policy states, see `context_space`."""
        latent, _ = state
        return {key: value.numpy() for key, value in self._memorize(latent).items()}

    def initial_carry(self, batch_size):
        """The state before any step."""
        return self._memorize(self.world_model.rssm.initial_state(batch_size))

    def _memorize(self, state):
        """`State` to the form of `context_space`."""
        rssm = self.config.rssm
        one_hots = tf.reshape(state.stoch, [*state.stoch.shape[:-1], rssm.stoch, rssm.classes])
        classes = tf.argmax(one_hots, -1, output_type=tf.int32) + 1
        classes = tf.where(tf.reduce_any(one_hots > 0.5, -1), classes, 0)
        return {"deter": state.deter, "stoch": tf.cast(classes, tf.uint8)}

    def _recall(self, memory):
        """The `State` of a memory; the statistics that it was drawn with matter no more."""
        rssm = self.world_model.rssm
        classes = tf.cast(memory["stoch"], tf.int32) - 1
        stoch = tf.one_hot(classes, self.config.rssm.classes)
        stoch = tf.reshape(stoch, [*stoch.shape[:-2], rssm.latent.size])
        initial = rssm.initial_state(stoch.shape[0])
        return initial._replace(deter=memory["deter"], stoch=stoch)

    # ---------------------------------------------------------------- learning

    def train_step(self, batch, carry):
        """One update of all networks, see `Agent.train_step`."""
        return self._train(batch, carry)

    def _draw_and_update(self, batch, carry):
        noise = self.draw_noise(*batch["reward"].shape)
        metrics, post = self.update(self.prepare(batch), noise, self._recall(carry))
        return metrics, self._memorize(post)

    def draw_noise(self, batch_size, length):
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of ``post`` ``[T, B, V]`` and of what `ActorCritic.noise` returns, ``[H, N, ...]``.
        """
        latent = self.world_model.rssm.latent
        post = latent.noise(self.rng, [length, batch_size])
        starts = batch_size * self._starts(length)
        return {"post": post} | self.behavior.noise(self.rng, latent, starts)

    def _starts(self, length):
        """How many states of a sequence imagination starts from, the last ones (K)."""
        return min(self.config.imag_last or length, length)

    def update(self, batch, noise, state):
        """The update, as a function of the random draws.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: As `draw_noise` returns it.
          state: `State` ``[B, ...]`` before the first rows.

        Returns:
          Dict of scalar metrics, and the posterior `State` ``[B, T, ...]``.
        """
        with tf.GradientTape() as tape:
            losses, post, metrics = self.losses(tape, batch, noise, state)
            scales = self.loss_scales()
            if losses.keys() != scales.keys():
                raise ValueError(f"losses {sorted(losses)} do not match scales {sorted(scales)}")
            means = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
            total = sum(scale * means[name] for name, scale in scales.items())
        stepped = self.step.apply(total, self.step.gradients(tape, total))
        self.behavior.slow_critic.update()
        metrics["nonfinite"] = stepped.pop("model_nonfinite")
        means = {f"{name}_loss": mean for name, mean in means.items()}
        return merge_metrics(means, metrics, stepped), post

    def loss_scales(self):
        """Dict of the weight of each loss."""
        scales = self.config.loss_scales
        keys = self.world_model.objective.decoder.keys
        return dict.fromkeys(keys, scales.reconstruction) | {
            name: getattr(scales, name)
            for name in ("reward", "cont", "dyn", "rep", "policy", "value", "replay_value")
        }

    def losses(self, tape, batch, noise, state):
        """Every loss.

        ::

            row           0      1      2     ...   T-1
            world model   l_0    l_1    l_2         l_{T-1}     all keys, reward, cont, dyn, rep
            imagination   ▼      ▼      ▼           ▼           starts from all posterior states,
            policy, value l_0    l_1    l_2         l_{T-1}     or the last K: mean over H steps
            replay value  l_0    l_1    l_2         (–)         bootstraps from the imagined returns

        Args:
          tape: ``tf.GradientTape`` that records; it does not record the imagination.
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: As `draw_noise` returns it.
          state: `State` ``[B, ...]`` before the first rows.

        Returns:
          Dict of losses ``[B, T]``, or ``[B, K]`` and ``[B, K-1]``, without their weights; the
          posterior `State` ``[B, T, ...]``; dict of scalar metrics.
        """
        losses, post, metrics = self.model_losses(batch, noise["post"], state)
        batch_size, length = batch["reward"].shape
        count = self._starts(length)
        recent = tf.nest.map_structure(lambda x: x[:, -count:], post)
        with tape.stop_recording():
            trajectory, reward, cont = self.imagine(recent, noise)
        imagined, returns, behavior_metrics = self.behavior.losses(trajectory, reward, cont)
        for name, loss in imagined.items():
            losses[name] = tf.reshape(tf.reduce_mean(loss, axis=0), [batch_size, count])

        feat = get_feat(recent)
        if not self.config.replay_value_gradient:
            feat = tf.stop_gradient(feat)
        rows = {key: batch[key][:, -count:] for key in ("reward", "is_last", "is_terminal")}
        bootstrap = tf.reshape(returns[0], [batch_size, count])
        time_first = tf.nest.map_structure(_swap_time, (feat, rows, bootstrap))
        losses["replay_value"] = _swap_time(self.behavior.replay_loss(*time_first))
        return losses, post, merge_metrics(metrics, behavior_metrics)

    def model_losses(self, batch, noise, state):
        """Losses of the world model, see `WorldModel.losses`.

        The KL terms count from the free nats on, state by state. The continue model learns whether
        anything follows, and with ``cont_discount`` how much that is worth: γ or nothing.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: ``[T, B, V]`` draws of the posterior.
          state: `State` ``[B, ...]`` before the first rows.

        Returns:
          Dict of ``[B, T]`` losses, posterior `State` ``[B, T, ...]``, dict of scalar metrics.

        Reference: arXiv:2301.04104, equations 2 to 5.
        """
        config = self.config
        alive = 1.0 - tf.cast(batch["is_terminal"], tf.float32)
        targets = {"reward": batch["reward"], "cont": self.cont_scale * alive}
        losses, post, metrics = self.world_model.losses(batch, targets, noise, state)
        metrics["kl"] = tf.reduce_mean(losses["dyn"])
        for name in ("dyn", "rep"):
            losses[name] = tf.maximum(losses[name], config.free_nats)
        return losses, post, metrics

    def imagine(self, post, noise):
        """Trajectories from posterior states, and what the world model expects of them.

        Args:
          post: `State` ``[B, K, ...]``; N = B·K start states.
          noise: Dict of ``imagine`` and ``action`` draws, see `draw_noise`.

        Returns:
          `Trajectory`, rewards ``[H+1, N]`` and probabilities to continue ``[H+1, N]``.
        """
        start = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), post)
        trajectory = self.behavior.imagine(self.world_model.rssm, start, noise)
        heads = self.world_model.heads
        reward = trajectory.map(lambda feat: heads["reward"].dist(feat).mean())
        cont = trajectory.map(lambda feat: tf.sigmoid(heads["cont"](feat)))
        return trajectory, reward, cont

    # ------------------------------------------------------------------ acting

    def _act_exploring(self, obs, state, is_first, rng):
        batch_size = leading_size(is_first)
        noise = {
            "post": self.world_model.rssm.latent.noise(rng, [batch_size]),
            "action": self.behavior.actor.noise(rng, [batch_size]),
        }
        return self.explore(obs, state, is_first, noise)

    def explore(self, obs, state, is_first, noise):
        """A sampled action.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Policy state.
          is_first: ``[N]`` bool.
          noise: Dict of random draws: ``post`` ``[N, V]`` of the posterior, ``action`` of the
            actor.

        Returns:
          Action ``[N, A]``, continuous ones not yet within their limits, and the next policy
          state, which remembers it.
        """
        latent = self.filter_step(obs, state, is_first, noise["post"])
        action = self.behavior.choose(get_feat(latent), noise["action"])
        return action, (latent, action)

    def _act_greedily(self, obs, state, is_first, rng):
        noise = self.world_model.rssm.latent.noise(rng, [leading_size(is_first)])
        latent = self.filter_step(obs, state, is_first, noise)
        action = self.behavior.actor.mode(get_feat(latent), rng)
        return action, (latent, action)

    def _decode(self, action):
        """Samples beyond the limits count as those."""
        return self.actions.decode(tf.clip_by_value(action, -1.0, 1.0))

    # -------------------------------------------------------------- looking on

    @property
    def task_behavior(self):
        """The actor, see `Agent.task_behavior`."""
        return ActorBehavior(self.behavior.actor)

    @property
    def valuation(self):
        """The critic, see `ActorCritic.returns`."""
        return Valuation(self.behavior.critic, self._discount, counts_arrival=False)

    @property
    def cont_scale(self):
        """The continue model learns 1 where an episode goes on, with ``cont_discount`` γ."""
        return self._discount if self.config.cont_discount else 1.0

    @property
    def _discount(self):
        return 1.0 - 1.0 / self.config.horizon

    @property
    def networks(self):
        """All networks, the slow copy included, as the names of the sizes count."""
        return self._trained_networks() | {"slow_critic": self.behavior.slow_critic.network}


def _swap_time(x):
    """``[B, T, ...]`` to ``[T, B, ...]`` and back."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
