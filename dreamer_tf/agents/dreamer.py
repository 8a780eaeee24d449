"""Dreamer: behaviours learned by latent imagination (arXiv:1912.01603).

Components:
  encoder, rssm, reward (, cont)            the world model, learned from replayed sequences
  decoder, state_model or neither           what else its features learn from (``objective``)
  actor                                     policy on the model's features: a tanh-Gaussian for
                                            continuous actions, a categorical for discrete ones
  critic                                    value of features under the policy; without it
                                            (``value_model: false``) the actor sums up rewards
  planner                                   acts in place of the actor with ``policy: planner``,
                                            which proposes to it

An update learns the world model, imagines trajectories in it from every state of the batch, moves
the actor uphill on their λ-returns by backpropagation through the dynamics, and the critic towards
them. The three gradients are taken before any variable moves.

Differences from the paper (more in docs/differences.md):
  * Free nats bound the KL's mean over the batch, as in the author's TF2 code; the paper's wording
    is closer to ``free_nats_per: step``.
  * Each sequence and each imagined trajectory has latent noise of its own; the author's code draws
    one vector for all of them.
  * The mode action is the tanh of the mean, not the likeliest of 100 samples (``actor.eval_mode``).
"""

import dataclasses
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
from dreamer_tf.agents.dreamer_behavior import (
    ActorCritic,
    ActorOnly,
    ConstantDiscount,
    PredictedDiscount,
)
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
from dreamer_tf.config import Config
from dreamer_tf.nn import (
    BernoulliHead,
    DenseGRU,
    GaussianHead,
    MultiDecoder,
    MultiEncoder,
    NormalHead,
)
from dreamer_tf.ops import flatten_time
from dreamer_tf.specs import Space
from dreamer_tf.world_model import (
    RSSM,
    Contrastive,
    DecoderDiagnostic,
    GaussianLatent,
    JointKL,
    Reconstruction,
    RewardOnly,
    WorldModel,
    get_feat,
)

REWARD_TRANSFORMS = {"none": tf.identity, "sign": tf.sign, "tanh": tf.tanh}


class Dreamer(Agent):
    """World model, actor and critic for one action, continuous or discrete."""

    def __init__(
        self, config: Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]
    ) -> None:
        """Builds all networks, optimisers and the random generator.

        Args:
          config: `Config`; reads ``dreamer``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images and vectors.
          act_space: Dict of action key to `Space`: one vector of numbers or one category.

        Raises:
          ValueError: If a space does not fit.
        """
        super().__init__(config, obs_space, act_space, "dreamer")
        self.config, dtype = config.dreamer, config.precision
        self.actions = ActionEncoder(act_space)
        action = self.actions.only_part("Dreamer")
        self.world_model, decoder = self._build_world_model(dtype)
        feat_size = self.world_model.rssm.feat_size
        self.model_step = make_step("model", self.world_model, self.config.model_optimizer)
        kind = ActorCritic if self.config.value_model else ActorOnly
        self.behavior = kind(self.config, feat_size, action, dtype=dtype)
        # By these names checkpoints know them.
        self.actor, self.actor_step = self.behavior.actor, self.behavior.actor_step
        self.critic, self.critic_step = self.behavior.critic, self.behavior.critic_step
        self.discount = self._build_discount()
        self.explorer = _build_explorer(self.config, action)
        self.planner = self._build_planner()
        self.acting = self.planner or ActorBehavior(self.behavior.actor)
        self.diagnostic = self._build_diagnostic(decoder)

    def _build_world_model(self, dtype):
        """The world model, and the decoder of its features, if there is one.

        The decoder is a part of the model only if its objective is reconstruction.
        """
        config, obs_space = self.config, self.obs_space
        dense = {"activation": config.dense_activation, "dtype": dtype}
        keyed = {
            "image_activation": config.image_activation,
            "vector_activation": config.dense_activation,
            "dtype": dtype,
        }
        encoder = MultiEncoder(obs_space, **_options(config.encoder), **keyed, name="encoder")
        rssm = RSSM(
            DenseGRU(config.rssm.deter, config.rssm.hidden, dtype=dtype, name="cell"),
            GaussianLatent(config.rssm.stoch, config.rssm.min_std),
            config.rssm.hidden,
            dtype=dtype,
            name="rssm",
        )
        rssm.build(encoder.output_size, self.actions.size)
        decoder = MultiDecoder(
            obs_space, rssm.feat_size, **_options(config.decoder), **keyed, name="decoder"
        )
        objective = {
            "reconstruction": lambda: Reconstruction(decoder, dict.fromkeys(obs_space, 1.0)),
            "contrastive": lambda: _contrastive(
                config.contrastive, encoder.output_size, rssm.feat_size, dense
            ),
            "reward": RewardOnly,
        }[config.objective]()
        heads = {"reward": NormalHead(**_options(config.reward), **dense, name="reward")}
        self.loss_scales = objective.scales | {"reward": 1.0, "kl": config.kl_scale}
        if config.discount_model:
            heads["cont"] = BernoulliHead(**_options(config.cont), **dense, name="cont")
            self.loss_scales["cont"] = config.discount_scale
        for head in heads.values():
            head.build(rssm.feat_size)
        kl = JointKL(config.free_nats, config.free_nats_per)
        decodes = config.objective == "reconstruction" or config.diagnostic_decoder
        return WorldModel(encoder, rssm, objective, heads, kl), decoder if decodes else None

    def _build_discount(self):
        if self.config.discount_model:
            return PredictedDiscount(self.world_model.heads["cont"])
        # A sum of rewards up to the horizon is not discounted.
        return ConstantDiscount(self.config.discount if self.config.value_model else 1.0)

    def _build_planner(self):
        """What acts in place of the actor; None: nothing does.

        Raises:
          ValueError: If a planner does not suit the actions, or does not look far enough ahead.
        """
        config = self.config
        if config.policy == "actor":
            return None
        if config.value_model and config.planner.horizon < 2:
            raise ValueError(
                "dreamer.planner.horizon must be at least 2, because the last state counts by its "
                f"value alone; got {config.planner.horizon}"
            )
        rssm, actor = self.world_model.rssm, self.behavior.actor
        options = _options(config.planner)
        return GuidedPlanner(rssm, actor, self.planned_return, self.actions, **options)

    def _build_diagnostic(self, decoder):
        """What trains the decoder where the world model does not; None: nothing has to."""
        if self.config.objective == "reconstruction" or not decoder:
            return None
        step = make_step("decoder", decoder, self.config.model_optimizer)
        return DecoderDiagnostic(decoder, step)

    def make_latent_model(self):
        """Filtering, imagining and judging for others, see `Agent.latent_model`."""
        config, valuation = self.config, None
        if self.behavior.critic:
            valuation = Valuation(self.behavior.critic, config.discount, counts_arrival=True)
        return LatentModel(
            self.world_model,
            self.actions,
            self.acting,
            self.prepare,
            decoder=self.decoder,
            valuation=valuation,
            cont_scale=config.discount,  # The discount model learns γ where an episode goes on.
        )

    # ---------------------------------------------------------------- learning

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
          Dict of ``post`` ``[T, B, S]``, standard normal, and of what
          `ActorCritic.imagination_noise` returns, ``[H, N, ...]``.
        """
        latent, starts = self.world_model.rssm.latent, batch_size * self.discount.starts(length)
        post = latent.draws(self.rng, [length, batch_size])
        return {"post": post} | self.behavior.imagination_noise(self.rng, latent, starts)

    def update(self, batch, noise, carry=()):
        """The update, as a function of the random draws.

        Args:
          batch: Dict of ``[B, T, ...]``, see `dreamer_tf.specs`.
          noise: As `update_noise` returns it.
          carry: Nothing: every sequence starts from the zero state.

        Returns:
          Dict of scalar metrics, and nothing as carry.
        """
        batch = self.prepare(batch)
        with tf.GradientTape() as tape:
            loss, post, metrics = self.model_loss(batch, noise["post"])
        gradients = self.model_step.gradients(tape, loss)
        # The actor learns in the world model as it was, which moves last.
        learned = self.behavior.update(
            self.world_model.rssm,
            self.start_states(post),
            self.world_model.heads["reward"],
            self.discount,
            noise,
            self.discount.start_weights(batch),
        )
        parts = [metrics, learned, self.explorer.metrics(self.grad_steps)]
        parts.append(self.model_step.apply(loss, gradients))
        if self.diagnostic:
            parts.append(self.diagnostic.update(batch, get_feat(post)))
        return update_metrics(*parts), carry

    def model_loss(self, batch, noise):
        """World model loss: objective − Σ mean log-likelihoods + β · max(mean KL, free nats).

        Args:
          batch: Dict of ``[B, T, ...]``, as `prepare` returns it.
          noise: ``[T, B, S]`` draws of the posterior.

        Returns:
          Scalar loss, posterior `State` ``[B, T, ...]``, dict of scalar metrics.

        Reference: arXiv:1912.01603, equations 10 and 12.
        """
        targets = {"reward": batch["reward"]}
        if "cont" in self.world_model.heads:
            # A soft label: the model's mean then is the discount, γ included.
            alive = 1.0 - tf.cast(batch["is_terminal"], tf.float32)
            targets["cont"] = self.config.discount * alive
        losses, post, metrics = self.world_model.losses(batch, targets, noise)
        total, means = weighted_sum(losses, self.loss_scales)
        return total, post, merge_metrics(metrics, means)

    def start_states(self, post):
        """States that imagination starts from, without gradient, flattened to ``[N, ...]``.

        Args:
          post: Posterior `State` ``[B, T, ...]``.
        """
        count = self.discount.starts(post.deter.shape[1])
        return tf.nest.map_structure(lambda x: tf.stop_gradient(flatten_time(x[:, :count])), post)

    @property
    def grad_steps(self):
        """Updates of the world model so far, a variable that checkpoints hold."""
        return self.model_step.optimizer.iterations

    # ------------------------------------------------------------------ acting

    def policy_noise(self, batch_size, rng, mode):
        """Every random draw of a decision, see `Agent.policy_noise`.

        Returns:
          Dict of ``post`` ``[N, S]``, standard normal, of ``action``, what the actor or the planner
          takes, and in training of ``explore``, what the exploration takes.
        """
        noise = {
            "post": self.world_model.rssm.latent.draws(rng, [batch_size]),
            "action": self.acting.draws(rng, batch_size, mode),
        }
        if mode == "train":
            noise["explore"] = self.explorer.draws(rng, [batch_size, self.actions.size])
        return noise

    def act(self, obs, state, is_first, noise, mode):
        """A sampled action with exploration, or the best one, see `Agent.act`."""
        latent = self.world_model.filter_step(
            obs, state.latent, state.action, is_first, noise["post"]
        )
        plan = kept(state.plan, is_first)
        action, plan = self.acting.action(latent, noise["action"], mode, plan)
        if mode == "train":
            action = self.explorer(action, noise["explore"], self.grad_steps)
        return self.actions.decode(action), PolicyState(latent, action, {}, plan)

    def planned_return(self, feat):
        """What the planner maximises: the return that the actor is trained for.

        Args:
          feat: Features ``[H+1, N, F]`` along planned actions, of the start states first.

        Returns:
          ``[N]``, of the states that the first actions lead to.
        """
        reward = self.world_model.heads["reward"]
        returns, _, _ = self.behavior.returns(feat[1:], reward, self.discount)
        return returns[0]

    @property
    def networks(self):
        """All networks, see `Agent.networks`."""
        networks = self.world_model.networks | self.behavior.networks
        return networks | ({"decoder": self.decoder} if self.decoder else {})


def _build_explorer(config, action):
    if action.is_discrete:
        return EpsilonGreedy(*config.exploration_epsilon, config.exploration_decay)
    return GaussianNoise(config.exploration_noise)


def _contrastive(config, embed_size, feat_size, dense):
    sequences, steps = {
        "window": (config.window_sequences, config.window_steps),
        "batch": (None, 1),
        "time": (1, None),
    }[config.negatives]
    state_model = GaussianHead(config.layers, config.units, feat_size, **dense, name="state_model")
    state_model.build(embed_size)
    return Contrastive(
        state_model,
        scale=config.scale,
        sequences=sequences,
        steps=steps,
        candidates=config.candidates,
    )


def _options(config):
    """A group of options as keyword arguments."""
    return dataclasses.asdict(config)
