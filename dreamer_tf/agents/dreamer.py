"""Dreamer: behaviours learned by latent imagination (arXiv:1912.01603).

Components:
  encoder, rssm, reward (, cont)            the world model, learned from replayed sequences
  decoder, state_model or neither           what else its features learn from (``objective``)
  actor                                     policy on the model's features: a tanh-Gaussian for
                                            continuous actions, a categorical for discrete ones
  critic                                    value of features under the policy; without it
                                            (``value_model: false``) the actor sums up rewards
  planner                                   acts in place of the actor with ``policy: planner``

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

import tensorflow as tf

from dreamer_tf.agents.base import merge_metrics
from dreamer_tf.agents.diagnostic import DecoderDiagnostic
from dreamer_tf.agents.dreamer_parts import (
    build_actor,
    build_behavior,
    build_critic,
    build_world_model,
    one_action,
)
from dreamer_tf.agents.latent_model import Valuation
from dreamer_tf.agents.model_based import ModelBasedAgent
from dreamer_tf.agents.open_loop import OpenLoop
from dreamer_tf.distributions import UnitNormal
from dreamer_tf.ops import cumulative_discount, lambda_return, leading_size, reward_sum
from dreamer_tf.optim import GlobalNormClip, GradientStep, adam
from dreamer_tf.world_model import get_feat

REWARD_TRANSFORMS = {"none": tf.identity, "sign": tf.sign, "tanh": tf.tanh}


class Dreamer(ModelBasedAgent):
    """World model, actor and critic for one action, continuous or discrete."""

    def __init__(self, config, obs_space, act_space):
        """Builds all networks, optimisers and the random generator.

        Args:
          config: `Config`; reads ``dreamer``, ``precision``, ``jit`` and ``seed``.
          obs_space: Dict of observation key to `Space`: images and vectors.
          act_space: Dict of action key to `Space`: ``action``, a vector of numbers or one category.

        Raises:
          ValueError: If a space does not fit.
        """
        super().__init__(obs_space, act_space, "dreamer")
        self.config = config.dreamer
        self.actions = one_action(act_space)
        self.rng = tf.random.Generator.from_seed(config.seed, alg="philox")
        self.world_model, decoder = build_world_model(
            self.config, obs_space, self.actions.size, config.precision
        )
        feat_size = self.world_model.rssm.feat_size

        [action] = self.actions.parts
        self.actor, self.explorer = build_actor(self.config, action, config.precision)
        self.actor.build(feat_size)
        self.model_step = self._make_step("model", self.world_model, self.config.model_optimizer)
        self.actor_step = self._make_step("actor", self.actor, self.config.actor_optimizer)
        self.critic = self.critic_step = None
        if self.config.value_model:
            self.critic = build_critic(self.config, feat_size, config.precision)
            self.critic_step = self._make_step("critic", self.critic, self.config.critic_optimizer)
        self.behavior = build_behavior(
            self.config, action, self.actor, self.planned_return, self.world_model.rssm.latent
        )
        self.diagnostic, self._open_loop = self._build_diagnostic(decoder)
        self._train = tf.function(self._draw_and_update, autograph=False, jit_compile=config.jit)

    def _build_diagnostic(self, decoder):
        """What trains the decoder where the world model does not, and open-loop prediction."""
        reconstruction = self.config.objective == "reconstruction"
        if not reconstruction and not self.config.diagnostic_decoder:
            return None, None
        open_loop = OpenLoop(self.world_model, decoder, self.rng)
        if reconstruction:
            return None, open_loop
        step = self._make_step("decoder", decoder, self.config.model_optimizer)
        return DecoderDiagnostic(decoder, step), open_loop

    def _make_step(self, name, network, config):
        optimizer = adam(
            learning_rate=config.learning_rate,
            epsilon=config.epsilon,
            decay=config.weight_decay,
            name=f"{name}_adam",
        )
        clip = GlobalNormClip(config.grad_clip)
        return GradientStep(name, network.trainable_variables, optimizer, clip)

    # ---------------------------------------------------------------- learning

    def train_step(self, batch, carry):
        """One update of world model, actor and critic, see `Agent.train_step`."""
        return self._train(batch), carry

    def _draw_and_update(self, batch):
        return self.update(batch, self.draw_noise(*batch["reward"].shape))

    def draw_noise(self, batch_size, length):
        """Every random draw of an update.

        Args:
          batch_size: Sequences (B).
          length: Rows of each (T).

        Returns:
          Dict of ``post`` ``[T, B, S]``, ``imagine`` ``[H, N, S]``, both standard normal, and
          ``action`` ``[H, N, ...]``, what the actor's distribution takes.
        """
        starts = batch_size * (length - 1 if self.config.discount_model else length)
        latent, horizon = self.world_model.rssm.latent, self.config.imag_horizon
        return {
            "post": latent.noise(self.rng, [length, batch_size]),
            "imagine": latent.noise(self.rng, [horizon, starts]),
            "action": self.actor.noise(self.rng, [horizon, starts]),
        }

    def update(self, batch, noise):
        """The update, as a function of the random draws.

        Args:
          batch: Dict of ``[B, T, ...]``.
          noise: As `draw_noise` returns it.

        Returns:
          Dict of scalar metrics.
        """
        with tf.GradientTape() as model_tape:
            model_loss, post, metrics = self.model_loss(batch, noise["post"])
        start = self.start_states(post)
        with tf.GradientTape(persistent=True) as behavior_tape:
            feat = self.imagine(start, noise)
            losses, imagined = self.behavior_losses(feat)

        updates = [(self.model_step, model_loss, self.model_step.gradients(model_tape, model_loss))]
        steps = {"actor": self.actor_step, "critic": self.critic_step}
        for name, loss in losses.items():
            updates.append((steps[name], loss, steps[name].gradients(behavior_tape, loss)))
        del behavior_tape

        parts = [metrics, imagined, self._policy_metrics(start, noise["action"][0])]
        parts += [step.apply(loss, gradients) for step, loss, gradients in updates]
        if self.diagnostic:
            parts.append(self.diagnostic.update(batch, get_feat(post)))
        metrics = merge_metrics(*parts)
        skipped = [metrics.pop(key) for key in list(metrics) if key.endswith("_nonfinite")]
        return metrics | {"nonfinite": tf.reduce_max(skipped)}

    def prepare(self, batch):
        """A batch of the replay as the losses take it: actions as vectors, rewards transformed.

        Args:
          batch: Dict of ``[B, T, ...]``.
        """
        transform = REWARD_TRANSFORMS[self.config.clip_rewards]
        return super().prepare(batch) | {"reward": transform(batch["reward"])}

    def model_loss(self, batch, noise):
        """World model loss: objective − Σ mean log-likelihoods + β · max(mean KL, free nats).

        Args:
          batch: Dict of ``[B, T, ...]``.
          noise: ``[T, B, S]`` draws of the posterior.

        Returns:
          Scalar loss, posterior `State` ``[B, T, ...]``, dict of scalar metrics.

        Reference: arXiv:1912.01603, equations 10 and 12.
        """
        config, batch = self.config, self.prepare(batch)
        targets = {"reward": batch["reward"]}
        scales = {
            "reconstruction": dict.fromkeys(self.obs_space, 1.0),
            "contrastive": {"contrastive": config.contrastive.scale},
            "reward": {},
        }[config.objective]
        scales |= {"reward": 1.0, "kl": config.kl_scale}
        if config.discount_model:
            # A soft label: the model's mean then is the discount, γ included.
            alive = 1.0 - tf.cast(batch["is_terminal"], tf.float32)
            targets["cont"] = config.discount * alive
            scales["cont"] = config.discount_scale

        losses, post, metrics = self.world_model.losses(batch, targets, noise)
        if losses.keys() != scales.keys():
            raise ValueError(f"losses {sorted(losses)} do not match scales {sorted(scales)}")
        for name, loss in losses.items():
            metrics[f"{name}_loss"] = tf.reduce_mean(loss)
        metrics["kl"] = metrics["kl_loss"]
        if config.free_nats_per == "batch":
            metrics["kl_loss"] = tf.maximum(metrics["kl"], config.free_nats)
        else:
            metrics["kl_loss"] = tf.reduce_mean(tf.maximum(losses["kl"], config.free_nats))
        total = sum(scale * metrics[f"{name}_loss"] for name, scale in scales.items())
        return total, post, metrics

    def start_states(self, post):
        """States that imagination starts from, without gradient, flattened to ``[N, ...]``.

        All posterior states; with a discount model without the last of each sequence, which may
        be terminal.
        """
        if self.config.discount_model:
            post = tf.nest.map_structure(lambda x: x[:, :-1], post)
        return tf.nest.map_structure(
            lambda x: tf.stop_gradient(tf.reshape(x, [-1, x.shape[-1]])), post
        )

    def imagine(self, start, noise):
        """Features of imagined states, ``[H, N, F]``.

        ::

            start   s_0 ──a_0──► s_1 ──a_1──► s_2  …  ──a_{H-1}──► s_H
                                 feat[0]      feat[1]              feat[H-1]

        The start states themselves are not part of it: no action of the actor led to them. The
        actor sees features without gradient; the gradient that trains it flows from later states
        through the actions and the dynamics.

        Args:
          start: `State` ``[N, ...]``.
          noise: Dict with ``imagine`` and ``action`` of `draw_noise`.
        """

        def policy(state, action_noise):
            return self.actor.dist(tf.stop_gradient(get_feat(state))).sample(action_noise)

        draws = {"latent": noise["imagine"], "policy": noise["action"]}
        return get_feat(self.world_model.rssm.imagine(policy, start, draws))

    def behavior_losses(self, feat):
        """Actor loss −mean(weight · return) and, with a value model, the critic's.

        Args:
          feat: ``[H, N, F]``.

        Returns:
          Dict of ``actor`` and ``critic`` to scalar losses, dict of scalar metrics.

        Reference: arXiv:1912.01603, equation 7.
        """
        losses = {}
        if self.critic is None:
            returns, weights, metrics = self.reward_sums(feat)
        else:
            value = self.critic(feat)
            returns, weights, metrics = self.imagined_returns(feat, value)
            losses["critic"] = self.critic_loss(value, returns, weights)
        losses["actor"] = -tf.reduce_mean(weights * returns)
        return losses, metrics

    def imagined_returns(self, feat, value):
        """λ-returns of imagined states.

        ::

            state     s_1    s_2    ...   s_{H-1}   s_H
            reward    r_1    r_2          r_{H-1}             for arriving in the state
            discount  γ_1    γ_2          γ_{H-1}
            value     v_1    v_2          v_{H-1}   v_H       v_H bootstraps, so it has no return
            return    R_1    R_2          R_{H-1}
            weight    1      γ_1          γ_1⋯γ_{H-2}

        Args:
          feat: ``[H, N, F]``.
          value: ``[H, N]``.

        Returns:
          Returns ``[H-1, N]``, weights ``[H-1, N]`` without gradient, dict of scalar metrics.

        Reference: arXiv:1912.01603, equations 4 to 6.
        """
        reward, discount = self._rewards_and_discounts(feat[:-1], self.config.discount)
        lambda_ = self.config.return_lambda
        returns = lambda_return(reward, value[:-1], discount, value[-1], lambda_)
        metrics = self._return_metrics(reward, discount, returns)
        metrics["imag_value"] = tf.reduce_mean(value)
        return returns, cumulative_discount(discount), metrics

    def reward_sums(self, feat):
        """Returns without a value model: see `imagined_returns`, but ``[H, N]`` and up to s_H.

        Nothing is discounted; with a discount model, what lies behind a predicted end counts less.

        Reference: arXiv:1912.01603, equation 4.
        """
        reward, discount = self._rewards_and_discounts(feat, 1.0)
        returns = reward_sum(reward, discount)
        metrics = self._return_metrics(reward, discount, returns)
        return returns, cumulative_discount(discount), metrics

    def _rewards_and_discounts(self, feat, discount):
        heads = self.world_model.heads
        reward = heads["reward"](feat)
        if self.config.discount_model:
            return reward, tf.sigmoid(heads["cont"](feat))
        return reward, discount * tf.ones_like(reward)

    def _return_metrics(self, reward, discount, returns):
        metrics = {
            "imag_reward": tf.reduce_mean(reward),
            "imag_return": tf.reduce_mean(returns),
            "imag_return_std": tf.math.reduce_std(returns),
        }
        if self.config.discount_model:
            metrics["imag_discount"] = tf.reduce_mean(discount)
        return metrics

    def planned_return(self, state, actions, noise):
        """What a planner maximises: the return that the actor is trained for, of the first state.

        Args:
          state: `State` ``[N, ...]``.
          actions: ``[H, N, A]``.
          noise: ``[H, N, S]`` draws of the transition model.

        Returns:
          ``[N]``.
        """
        feat = get_feat(self.world_model.rssm.predict(actions, state, noise))
        if self.critic is None:
            return self.reward_sums(feat)[0][0]
        return self.imagined_returns(feat, self.critic(feat))[0][0]

    def critic_loss(self, value, returns, weights):
        """Value loss ½(v − sg(R))², up to a constant, weighted.

        ::

            value     v_1    v_2    ...   v_{H-1}   (v_H)     v_H has no return to learn from
            return    R_1    R_2          R_{H-1}

        The values are those that the returns were computed with: one pass of the critic serves
        both, and only the critic's variables are updated by this loss.

        Reference: arXiv:1912.01603, equation 8.
        """
        log_prob = UnitNormal(value[:-1]).log_prob(tf.stop_gradient(returns))
        return -tf.reduce_mean(weights * log_prob)

    def _policy_metrics(self, start, noise):
        # The actor's forward pass here is that of the first imagined step.
        dist = self.actor.dist(tf.stop_gradient(get_feat(start)))
        return self.actor.metrics(dist, noise) | self.explorer.metrics(self._grad_steps)

    @property
    def _grad_steps(self):
        """Updates of the world model so far, a variable that checkpoints hold."""
        return self.model_step.optimizer.iterations

    # ------------------------------------------------------------------ acting

    def _act_exploring(self, obs, state, is_first, rng):
        batch_size = leading_size(is_first)
        noise = {
            "post": self.world_model.rssm.latent.noise(rng, [batch_size]),
            "action": self.behavior.noise(rng, batch_size),
            "explore": self.explorer.noise(rng, [batch_size, self.actions.size]),
        }
        return self.explore(obs, state, is_first, noise)

    def explore(self, obs, state, is_first, noise):
        """A sampled action with exploration.

        Args:
          obs: Dict of ``[N, *shape]``.
          state: Policy state.
          is_first: ``[N]`` bool.
          noise: Dict of random draws: ``post`` ``[N, S]``, standard normal, and ``action`` and
            ``explore``, what the behaviour and the exploration take.

        Returns:
          Action ``[N, A]`` and the next policy state, which remembers it.
        """
        latent = self.filter_step(obs, state, is_first, noise["post"])
        action = self.behavior.sample(latent, noise["action"])
        action = self.explorer(action, noise["explore"], self._grad_steps)
        return action, (latent, action)

    def _act_greedily(self, obs, state, is_first, rng):
        noise = self.world_model.rssm.latent.noise(rng, [leading_size(is_first)])
        latent = self.filter_step(obs, state, is_first, noise)
        action = self.behavior.mode(latent, rng)
        return action, (latent, action)

    # -------------------------------------------------------------- looking on

    @property
    def task_behavior(self):
        """Actor or planner, see `Agent.task_behavior`."""
        return self.behavior

    @property
    def valuation(self):
        """The value model, if there is one, see `imagined_returns`."""
        return self.critic and Valuation(self.critic, self.config.discount, counts_arrival=True)

    @property
    def cont_scale(self):
        """The discount model learns γ where an episode goes on."""
        return self.config.discount

    @property
    def networks(self):
        """All networks, see `Agent.networks`."""
        networks = self.world_model.networks | {"actor": self.actor}
        if self.critic:
            networks["critic"] = self.critic
        if self.diagnostic:
            networks["decoder"] = self.diagnostic.decoder
        return networks
