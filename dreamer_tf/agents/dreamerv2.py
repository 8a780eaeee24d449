"""DreamerV2: world models with discrete representations (arXiv:2010.02193).

Components:
  encoder, rssm, decoder, reward (, cont)   the world model; its stochastic state is categorical
  actor                                     truncated normal for continuous actions, categorical for
                                            discrete ones
  critic, slow critic                       value of features; the targets come from the slow one
  exploration                               what plays training episodes: the actor, Plan2Explore or
                                            chance

An update first moves the world model. Then trajectories are imagined, with the moved model, from
every state of the batch, and the actor and the critic learn from them (`ActorCritic`).

Differences from the paper and the author's code (more in docs/differences.md):
  * The slow critic begins as a copy of the critic, in the author's code with weights of its own
    until the first update is over.
  * Schedules count grad_steps, in the author's code environment steps.
  * The state that is carried to the next batch goes with the sequence that continues, row by row.
"""

import tensorflow as tf

from dreamer_tf.agents.acting import ActorBehavior
from dreamer_tf.agents.dreamerv2_behavior import ActorCritic, hidden_block, make_step
from dreamer_tf.agents.exploring import make_exploration
from dreamer_tf.agents.latent_model import Valuation
from dreamer_tf.agents.model_based import ModelBasedAgent
from dreamer_tf.agents.open_loop import OpenLoop
from dreamer_tf.behaviors import ActionEncoder, EpsilonGreedy, GaussianNoise
from dreamer_tf.nn import (
    BernoulliHead,
    LayerNormGRU,
    MultiDecoder,
    MultiEncoder,
    NormalHead,
    select_keys,
)
from dreamer_tf.ops import leading_size
from dreamer_tf.world_model import (
    RSSM,
    BalancedKL,
    CategoricalLatent,
    GaussianLatent,
    JointKL,
    Reconstruction,
    WorldModel,
    get_feat,
)

REWARD_TRANSFORMS = {"none": tf.identity, "sign": tf.sign, "tanh": tf.tanh}


class DreamerV2(ModelBasedAgent):
    """World model, actor and critic for one action, continuous or discrete."""

    def __init__(self, config, obs_space, act_space):
        """Builds all networks, optimisers and the random generator.

        Args:
          config: `Config`; reads ``dreamerv2``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images and vectors.
          act_space: Dict of action key to `Space`: one vector of numbers or one category.

        Raises:
          ValueError: If a space does not fit, or no observation is selected.
        """
        super().__init__(obs_space, act_space, "dreamerv2")
        self.config = config.dreamerv2
        self.actions = ActionEncoder(act_space)
        action = self.actions.only_part("DreamerV2")
        self.rng = tf.random.Generator.from_seed(config.seed, alg="philox")
        self.grad_steps = tf.Variable(0, trainable=False, dtype=tf.int64, name="grad_steps")
        self.world_model = self._build_world_model(obs_space, config.precision)
        self.behavior = ActorCritic(
            self.config, self.world_model.rssm.feat_size, action, dtype=config.precision
        )
        self.exploration = make_exploration(
            self.config,
            self.behavior,
            self.world_model.rssm,
            action,
            self.grad_steps,
            dtype=config.precision,
        )
        self.explorer = _build_explorer(self.config.exploration_noise, action)
        self.model_step = make_step("model", self.world_model, self.config.model_optimizer)
        self._train = tf.function(self._draw_and_update, autograph=False, jit_compile=config.jit)
        self._open_loop = OpenLoop(self.world_model, self.world_model.objective.decoder, self.rng)

    def _build_world_model(self, obs_space, dtype):
        config = self.config
        rssm, block = config.rssm, hidden_block(config) | {"dtype": dtype}
        encoder = self._build_multi(MultiEncoder, config.encoder, obs_space, dtype, "encoder")
        rssm = RSSM(
            LayerNormGRU(rssm.deter, rssm.hidden, name="cell", **block),
            self._build_latent(),
            rssm.hidden,
            name="rssm",
            **block,
        )
        rssm.build(encoder.output_size, self.actions.size)
        decoder = self._build_multi(
            MultiDecoder, config.decoder, obs_space, dtype, "decoder", feat_size=rssm.feat_size
        )
        reward, cont = config.reward, config.cont
        heads = {"reward": NormalHead(reward.layers, reward.units, name="reward", **block)}
        if config.discount_model:
            heads["cont"] = BernoulliHead(cont.layers, cont.units, name="cont", **block)
        for head in heads.values():
            head.build(rssm.feat_size)
        shaping = {
            "decoder": config.decoder_gradient,
            "reward": config.reward_gradient,
            "cont": config.discount_gradient,
        }
        self.kl = self._build_kl()
        return WorldModel(
            encoder,
            rssm,
            Reconstruction(decoder),
            heads,
            kl_terms=self.kl.terms,
            detached=[name for name, shapes in shaping.items() if not shapes],
        )

    def _build_multi(self, kind, config, obs_space, dtype, name, **sizes):
        """The encoder or decoder of the keys that its options select."""
        return kind(
            select_keys(obs_space, config.image_keys, config.vector_keys, name),
            depth=config.depth,
            vector_layers=config.vector_layers,
            vector_units=config.vector_units,
            image_activation=self.config.activation,
            vector_activation=self.config.activation,
            norm=self.config.norm,
            dtype=dtype,
            name=name,
            **sizes,
        )

    def _build_latent(self):
        rssm = self.config.rssm
        if rssm.latent == "categorical":
            return CategoricalLatent(rssm.stoch, rssm.classes)
        return GaussianLatent(rssm.stoch, rssm.min_std, rssm.std_activation)

    def _build_kl(self):
        config = self.config
        if config.kl_balance == 0.5:
            # Nothing to balance: the author's code then takes the plain divergence, with its whole
            # gradient to both sides, and bounds it state by state.
            return JointKL(config.free_nats, config.kl_forward)
        return BalancedKL(
            config.kl_balance, config.free_nats, config.free_nats_per, config.kl_forward
        )

    # ---------------------------------------------------------------- learning

    def initial_carry(self, batch_size):
        """The zero state if sequences go on from batch to batch, else nothing."""
        if not self.config.carry_state:
            return ()
        return _memory(self.world_model.rssm.initial_state(batch_size))

    def train_step(self, batch, carry):
        """One update of world model, actor and critic, see `Agent.train_step`."""
        return self._train(batch, carry)

    def _draw_and_update(self, batch, carry):
        noise = self.draw_noise(*batch["reward"].shape)
        return self.update(self.prepare(batch), noise, carry)

    def prepare(self, batch):
        """A batch of the replay as the losses take it: actions as vectors, rewards transformed.

        Args:
          batch: Dict of ``[B, T, ...]``.
        """
        transform = REWARD_TRANSFORMS[self.config.clip_rewards]
        return super().prepare(batch) | {"reward": transform(batch["reward"])}

    def draw_noise(self, batch_size, length):
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of ``post`` ``[T, B, ...]`` and of what `ActorCritic.noise` and the exploration's
          ``noise`` return, ``[H, N, ...]``.
        """
        latent, starts = self.world_model.rssm.latent, batch_size * length
        post = latent.noise(self.rng, [length, batch_size])
        learners = (self.behavior, self.exploration)
        draws = [learner.noise(self.rng, latent, starts) for learner in learners]
        return {"post": post} | draws[0] | draws[1]

    def update(self, batch, noise, carry=()):
        """The update, as a function of the random draws.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: As `draw_noise` returns it.
          carry: Memory before the first rows, see `Agent.train_step`.

        Returns:
          Dict of scalar metrics, and the memory after each row.
        """
        with tf.GradientTape() as tape:
            loss, post, metrics = self.model_loss(batch, noise["post"], carry)
        metrics |= self.model_step.apply(loss, self.model_step.gradients(tape, loss))
        # From here on the world model is the one that has just learned.
        rssm, discount = self.world_model.rssm, self.imagined_discount(batch["is_terminal"])
        start = tf.nest.map_structure(_flatten_time, post)
        draws = {key: noise[key] for key in ("imagine", "action")}
        metrics |= self.behavior.update(
            rssm, start, self.predicted_reward, discount, draws, self.grad_steps
        )
        metrics |= self.exploration.update(
            rssm, post, batch, self.predicted_reward, discount, noise, self.grad_steps
        )
        self.grad_steps.assign_add(1)
        skipped = [metrics.pop(name) for name in list(metrics) if name.endswith("_nonfinite")]
        metrics["nonfinite"] = tf.reduce_max(skipped)
        return metrics, _memory(post) if carry else ()

    def model_loss(self, batch, noise, carry=()):
        """World model loss: −Σ scale · mean log-likelihood + β · balanced KL.

        ::

            balanced KL = α · KL(sg(post) ‖ prior) + (1 - α) · KL(post ‖ sg(prior))

        Each of the two is bounded by the free nats. See `WorldModel.losses` for the alignment in
        time.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: ``[T, B, ...]`` draws of the posterior.
          carry: Memory before the first rows, or nothing: the zero state.

        Returns:
          Scalar loss, posterior `State` ``[B, T, ...]``, dict of scalar metrics.

        Reference: arXiv:2010.02193, equation 2 and algorithm 2.
        """
        config = self.config
        targets = {"reward": batch["reward"]}
        scales = dict.fromkeys(self.world_model.objective.decoder.keys, 1.0)
        scales |= {"reward": config.reward_scale, "kl": config.kl_scale}
        if config.discount_model:
            # A soft label: the model's mean then is the discount, γ included.
            targets["cont"] = config.discount * _alive(batch["is_terminal"])
            scales["cont"] = config.discount_scale

        state = self._state(carry) if carry else None
        losses, post, metrics = self.world_model.losses(batch, targets, noise, state)
        metrics["kl"] = tf.reduce_mean(self.kl.value(losses))
        terms = {"kl": self.kl.loss(losses)}
        terms |= {name: tf.reduce_mean(losses[name]) for name in scales.keys() - {"kl"}}
        total = sum(scale * terms[name] for name, scale in scales.items())
        return total, post, metrics | {f"{name}_loss": term for name, term in terms.items()}

    def predicted_reward(self, feat, action):
        """The task's reward ``[H+1, N]`` at features ``[H+1, N, F]``, whatever led there."""
        del action
        return self.world_model.heads["reward"](feat)

    def imagined_discount(self, is_terminal):
        """How imagined states discount what follows them.

        Args:
          is_terminal: ``[B, T]`` flags of the states that imagination starts from.

        Returns:
          Function of features ``[H+1, N, F]`` to discount factors ``[H+1, N]``: γ, or what the
          discount model predicts. Whether a start state is terminal is known and not predicted.
        """
        config = self.config
        if not config.discount_model:
            return lambda feat: tf.fill(feat.shape[:2], config.discount)
        first = config.discount * _alive(tf.reshape(is_terminal, [1, -1]))
        head = self.world_model.heads["cont"]
        return lambda feat: tf.concat([first, tf.sigmoid(head(feat[1:]))], axis=0)

    def _state(self, carry):
        """The `State` of a memory; the statistics that it was drawn with matter no more."""
        initial = self.world_model.rssm.initial_state(carry["deter"].shape[0])
        return initial._replace(deter=carry["deter"], stoch=carry["stoch"])

    # ------------------------------------------------------------------ acting

    def _act_exploring(self, obs, state, is_first, rng):
        batch_size = leading_size(is_first)
        noise = {
            "post": self.world_model.rssm.latent.noise(rng, [batch_size]),
            "action": self.exploration.behavior.noise(rng, batch_size),
            "explore": self.explorer.noise(rng, [batch_size, self.actions.size]),
        }
        return self.explore(obs, state, is_first, noise)

    def explore(self, obs, state, is_first, noise):
        """A sampled action with exploration.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Policy state.
          is_first: ``[N]`` bool.
          noise: Dict of random draws: ``post`` ``[N, ...]`` of the posterior, ``action`` and
            ``explore``, what the exploring behaviour and the explorer take.

        Returns:
          Action ``[N, A]`` and the next policy state, which remembers it.
        """
        latent = self.filter_step(obs, state, is_first, noise["post"])
        action = self.exploration.behavior.sample(latent, noise["action"])
        action = self.explorer(action, noise["explore"], self.grad_steps)
        return action, (latent, action)

    def _act_greedily(self, obs, state, is_first, rng):
        noise = self.world_model.rssm.latent.noise(rng, [leading_size(is_first)])
        return self.exploit(obs, state, is_first, noise)

    def exploit(self, obs, state, is_first, noise):
        """The likeliest action.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Policy state.
          is_first: ``[N]`` bool.
          noise: ``[N, ...]`` draws of the posterior.

        Returns:
          As `explore`.
        """
        latent = self.filter_step(obs, state, is_first, noise)
        if self.config.eval_state == "mode":
            latent = latent._replace(stoch=self.world_model.rssm.latent.mode(latent.stats))
        action = self.behavior.actor.mode(get_feat(latent), self.rng)
        return action, (latent, action)

    # -------------------------------------------------------------- looking on

    @property
    def task_behavior(self):
        """The task's actor, whatever explores, see `Agent.task_behavior`."""
        return ActorBehavior(self.behavior.actor)

    @property
    def valuation(self):
        """The critic of the task, see `ActorCritic.target`."""
        return Valuation(self.behavior.critic, self.config.discount, counts_arrival=True)

    @property
    def cont_scale(self):
        """The discount model learns γ where an episode goes on."""
        return self.config.discount

    @property
    def networks(self):
        """All networks but the slow critic, which is a copy, see `Agent.networks`."""
        return self.world_model.networks | self.behavior.networks | self.exploration.networks


def _build_explorer(noise, action):
    if action.is_discrete:
        return EpsilonGreedy(noise, noise, 1)
    return GaussianNoise(noise)


def _alive(is_terminal):
    return 1.0 - tf.cast(is_terminal, tf.float32)


def _flatten_time(x):
    """``[B, T, ...]`` to ``[N, ...]`` without gradient."""
    return tf.stop_gradient(tf.reshape(x, [-1, *x.shape[2:]]))


def _memory(state):
    return {"deter": state.deter, "stoch": state.stoch}
