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

import dataclasses
import math
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
from dreamer_tf.agents.dreamerv2_behavior import ActorCritic, hidden_block
from dreamer_tf.agents.harmony import Harmony
from dreamer_tf.agents.plan2explore import make_exploration
from dreamer_tf.behaviors import (
    ActionEncoder,
    ActorBehavior,
    EpsilonGreedy,
    GaussianNoise,
    GuidedPlanner,
    LatentModel,
    Valuation,
    kept,
)
from dreamer_tf.config import Config, from_text
from dreamer_tf.nn import (
    BernoulliHead,
    LayerNormGRU,
    MultiDecoder,
    MultiEncoder,
    NormalHead,
    select_keys,
)
from dreamer_tf.ops import flatten_time
from dreamer_tf.specs import Space
from dreamer_tf.world_model import (
    RSSM,
    BalancedKL,
    CategoricalLatent,
    GaussianLatent,
    JointKL,
    Reconstruction,
    WorldModel,
)

REWARD_TRANSFORMS = {"none": tf.identity, "sign": tf.sign, "tanh": tf.tanh}


class DreamerV2(Agent):
    """World model, actor and critic for one action, continuous or discrete."""

    def __init__(
        self, config: Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]
    ) -> None:
        """Builds all networks, optimisers and the random generator.

        Args:
          config: `Config`; reads ``dreamerv2``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images and vectors.
          act_space: Dict of action key to `Space`: one vector of numbers or one category.

        Raises:
          ValueError: If a space does not fit, or no observation is selected.
        """
        super().__init__(config, obs_space, act_space, "dreamerv2")
        self.config, dtype = config.dreamerv2, config.precision
        self.actions = ActionEncoder(act_space)
        action = self.actions.only_part("DreamerV2")
        self.grad_steps = tf.Variable(0, trainable=False, dtype=tf.int64, name="grad_steps")
        self.world_model = self._build_world_model(dtype)
        rssm = self.world_model.rssm
        self.behavior = ActorCritic(self.config, rssm.feat_size, action, dtype=dtype)
        self.planner = self._build_planner()
        task = self.planner or ActorBehavior(self.behavior.actor)
        self.exploration = make_exploration(
            self.config, task, rssm, action, self.grad_steps, dtype=dtype
        )
        self.acting = {"train": self.exploration.behavior, "eval": task}
        self.explorer = _build_explorer(self.config.exploration_noise, action)
        decoder = self.world_model.objective.decoder
        self.harmony = Harmony(decoder.images or decoder.keys) if self.config.harmony else None
        self.model_step = make_step(
            "model",
            self.world_model,
            self.config.model_optimizer,
            self.harmony.networks.values() if self.harmony else (),
        )

    def make_latent_model(self):
        """Filtering, imagining and judging for others, see `Agent.latent_model`."""
        discount = self.config.discount
        return LatentModel(
            self.world_model,
            self.actions,
            self.acting["eval"],
            self.prepare,
            decoder=self.decoder,
            valuation=Valuation(self.behavior.critic, discount, counts_arrival=True),
            cont_scale=discount,  # The discount model learns γ where an episode goes on.
        )

    def _build_world_model(self, dtype):
        config = self.config
        rssm, block = config.rssm, hidden_block(config) | {"dtype": dtype}
        encoder = self._build_multi(MultiEncoder, config.encoder, dtype, "encoder")
        rssm = RSSM(
            LayerNormGRU(rssm.deter, rssm.hidden, name="cell", **block),
            self._build_latent(),
            rssm.hidden,
            name="rssm",
            **block,
        )
        rssm.build(encoder.output_size, self.actions.size)
        decoder = self._build_multi(
            MultiDecoder, config.decoder, dtype, "decoder", feat_size=rssm.feat_size
        )
        reward, cont = config.reward, config.cont
        heads = {"reward": NormalHead(reward.layers, reward.units, name="reward", **block)}
        objective = Reconstruction(decoder, self._observation_scales(decoder.keys))
        self.loss_scales = objective.scales | {
            "reward": config.reward_scale,
            "kl": config.kl_scale,
        }
        if config.discount_model:
            heads["cont"] = BernoulliHead(cont.layers, cont.units, name="cont", **block)
            self.loss_scales["cont"] = config.discount_scale
        for head in heads.values():
            head.build(rssm.feat_size)
        shaping = {
            "decoder": config.decoder_gradient,
            "reward": config.reward_gradient,
            "cont": config.discount_gradient,
        }
        return WorldModel(
            encoder,
            rssm,
            objective,
            heads,
            self._build_kl(),
            detached=[name for name, shapes in shaping.items() if not shapes],
        )

    def _observation_scales(self, keys):
        """The weight of each observation's loss."""
        scales = from_text(self.config.observation_scales)
        unknown = sorted(scales.keys() - set(keys))
        if unknown:
            raise ValueError(
                f"dreamerv2.observation_scales: {', '.join(unknown)} is not decoded; "
                f"{', '.join(keys)} are"
            )
        if not all(isinstance(s, int | float) and 0 <= s < math.inf for s in scales.values()):
            raise ValueError(
                f"dreamerv2.observation_scales: expected numbers of at least 0, got {scales}"
            )
        return dict.fromkeys(keys, 1.0) | {key: float(scale) for key, scale in scales.items()}

    def _build_multi(self, kind, config, dtype, name, **sizes):
        """The encoder or decoder of the keys that its options select."""
        return kind(
            select_keys(self.obs_space, config.image_keys, config.vector_keys, name),
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
            return JointKL(config.free_nats, "step", config.kl_forward)
        return BalancedKL(
            config.kl_balance, config.free_nats, config.free_nats_per, config.kl_forward
        )

    def _build_planner(self):
        """What acts for the task in place of the actor; None: nothing does."""
        if self.config.policy == "actor":
            return None
        rssm, actor = self.world_model.rssm, self.behavior.actor
        options = dataclasses.asdict(self.config.planner)
        return GuidedPlanner(rssm, actor, self.planned_return, self.actions, **options)

    # ---------------------------------------------------------------- learning

    def initial_carry(self, batch_size):
        """The zero state if sequences go on from batch to batch, else nothing."""
        if not self.config.carry_state:
            return ()
        return _carry(self.world_model.rssm.initial_state(batch_size))

    def prepare(self, batch):
        """Rows as the losses take them: actions as vectors, rewards transformed.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
        """
        transform = REWARD_TRANSFORMS[self.config.clip_rewards]
        return super().prepare(batch) | {"reward": transform(batch["reward"])}

    def update_noise(self, batch_size, length):
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of ``post`` ``[T, B, ...]`` and of what the `imagination_noise` of `ActorCritic`
          and of the exploration return, ``[H, N, ...]``.
        """
        latent, starts = self.world_model.rssm.latent, batch_size * length
        noise = {"post": latent.draws(self.rng, [length, batch_size])}
        for learner in (self.behavior, self.exploration):
            noise |= learner.imagination_noise(self.rng, latent, starts)
        return noise

    def update(self, batch, noise, carry=()):
        """The update, as a function of the random draws.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
          noise: As `update_noise` returns it.
          carry: What the sequences start from, see `Agent.train_step`.

        Returns:
          Dict of scalar metrics, and the carry after each row.
        """
        batch = self.prepare(batch)
        with tf.GradientTape() as tape:
            loss, post, metrics = self.model_loss(batch, noise["post"], carry)
        stepped = self.model_step.apply(loss, self.model_step.gradients(tape, loss))
        # From here on the world model is the one that has just learned.
        rssm, discount = self.world_model.rssm, self.imagined_discount(batch["is_terminal"])
        start = tf.nest.map_structure(lambda x: tf.stop_gradient(flatten_time(x)), post)
        learned = self.behavior.update(
            rssm, start, self.predicted_reward, discount, noise, self.grad_steps
        )
        explored = self.exploration.update(
            rssm, post, batch, self.predicted_reward, discount, noise, self.grad_steps
        )
        self.grad_steps.assign_add(1)
        metrics = update_metrics(metrics, stepped, learned, explored)
        return metrics, _carry(post) if carry else ()

    def model_loss(self, batch, noise, carry=()):
        """World model loss: −Σ scale · mean log-likelihood + β · balanced KL.

        ::

            balanced KL = α · KL(sg(post) ‖ prior) + (1 - α) · KL(post ‖ sg(prior))

        Each of the two is bounded by the free nats. See `WorldModel.losses` for the alignment in
        time.

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: ``[T, B, ...]`` draws of the posterior.
          carry: What the sequences start from, or nothing: the zero state.

        Returns:
          Scalar loss, posterior `State` ``[B, T, ...]``, dict of scalar metrics.

        Raises:
          ValueError: If an observation is called like a loss.

        Reference: arXiv:2010.02193, equation 2 and algorithm 2.
        """
        targets = {"reward": batch["reward"]}
        if "cont" in self.world_model.heads:
            # A soft label: the model's mean then is the discount, γ included.
            targets["cont"] = self.config.discount * _alive(batch["is_terminal"])
        start = self.world_model.rssm.state(**carry) if carry else None
        losses, post, metrics = self.world_model.losses(batch, targets, noise, start)
        total, means = (self.harmony or weighted_sum)(losses, self.loss_scales)
        return total, post, merge_metrics(metrics, means)

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
            return lambda feat: config.discount * tf.ones_like(feat[..., 0], tf.float32)
        first = config.discount * _alive(tf.reshape(is_terminal, [1, -1]))
        head = self.world_model.heads["cont"]
        return lambda feat: tf.concat([first, tf.sigmoid(head(feat[1:]))], axis=0)

    # ------------------------------------------------------------------ acting

    def policy_noise(self, batch_size, rng, mode):
        """Every random draw of a decision, see `Agent.policy_noise`.

        Returns:
          Dict of ``post`` ``[N, ...]`` of the posterior, of ``action``, what the behaviour of the
          mode takes, and in training of ``explore``, what the explorer takes.
        """
        noise = {
            "post": self.world_model.rssm.latent.draws(rng, [batch_size]),
            "action": self.acting[mode].draws(rng, batch_size, mode),
        }
        if mode == "train":
            noise["explore"] = self.explorer.draws(rng, [batch_size, self.actions.size])
        return noise

    def act(self, obs, state, is_first, noise, mode):
        """A sampled action with exploration, or the task's likeliest one, see `Agent.act`."""
        latent = self.world_model.filter_step(
            obs, state.latent, state.action, is_first, noise["post"]
        )
        if mode == "eval" and self.config.eval_state == "mode":
            latent = latent._replace(stoch=self.world_model.rssm.latent.mode(latent.stats))
        plan = kept(state.plan, is_first)
        action, plan = self.acting[mode].action(latent, noise["action"], mode, plan)
        if mode == "train":
            action = self.explorer(action, noise["explore"], self.grad_steps)
        return self.actions.decode(action), PolicyState(latent, action, {}, plan)

    def planned_return(self, feat):
        """What the planner maximises: the target of the critic, in a state that is not terminal.

        Args:
          feat: Features ``[H+1, N, F]`` along planned actions, of the start states first.

        Returns:
          ``[N]``, of the start states.
        """
        reward = self.behavior.reward_scale.as_it_is(self.predicted_reward(feat, None))
        discount = self.imagined_discount(tf.zeros_like(feat[0, :, 0], tf.bool))(feat)
        return self.behavior.returns(feat, reward, discount)[0][0]

    @property
    def networks(self):
        """All networks but the slow critic, which is a copy, see `Agent.networks`."""
        networks = self.world_model.networks | self.behavior.networks | self.exploration.networks
        return networks | (self.harmony.networks if self.harmony else {})


def _build_explorer(noise, action):
    if action.is_discrete:
        return EpsilonGreedy(noise, noise, 1)
    return GaussianNoise(noise)


def _alive(is_terminal):
    return 1.0 - tf.cast(is_terminal, tf.float32)


def _carry(state):
    return {"deter": state.deter, "stoch": state.stoch}
