"""Actor and value model of Dreamer, learned in imagination (arXiv:1912.01603, section 3).

A behaviour has `networks`, `imagination_noise`, `imagine`, `returns` and `update`, which
moves it. Time comes first here: trajectories are ``[H, N, ...]``, the start states not included.
"""

import dataclasses

import tensorflow as tf

from dreamer_tf.agents.base import make_step
from dreamer_tf.behaviors import OneHotActor, TanhNormalActor
from dreamer_tf.distributions import UnitNormal
from dreamer_tf.nn import NormalHead
from dreamer_tf.ops import (
    cumulative_discount,
    flatten_time,
    lambda_return,
    reward_sum,
    std_over_replicas,
)
from dreamer_tf.world_model import get_feat

MODE_SAMPLES = {"tanh_mean": 0, "best_of_samples": 100}


class ConstantDiscount:
    """The same factor γ at every step. Imagination starts from every state of a batch."""

    def __init__(self, discount):
        """Takes γ; 1: nothing is discounted."""
        self.discount = discount

    def starts(self, length):
        """Number of start states in a sequence of ``length`` rows."""
        return length

    def start_weights(self, batch):
        """What the trajectory of each start state counts."""
        del batch
        return 1.0

    def __call__(self, feat):
        """Factors ``[...]`` at features ``[..., F]``."""
        return self.discount * tf.ones_like(feat[..., 0], tf.float32)

    def metrics(self, discount):
        """Nothing changes, so there is nothing to log."""
        del discount
        return {}


class PredictedDiscount:
    """What the discount model expects, γ included.

    Imagination starts from all states but the last of each sequence, which may be terminal. A
    terminal one that another episode follows counts nothing: no row shows what lies behind it.
    """

    def __init__(self, head):
        """Wraps the discount model, a `BernoulliHead`."""
        self._head = head

    def starts(self, length):
        """Number of start states in a sequence of ``length`` rows, the first ones."""
        return length - 1

    def start_weights(self, batch):
        """What the trajectory of each start state counts, ``[N]``: 1, or 0 behind an end."""
        over = batch["is_terminal"][:, :-1] & batch["is_first"][:, 1:]
        return flatten_time(1.0 - tf.cast(over, tf.float32))

    def __call__(self, feat):
        """Factors ``[...]`` at features ``[..., F]``."""
        return tf.sigmoid(self._head(feat))

    def metrics(self, discount):
        """Dict of the mean factor."""
        return {"imag_discount": tf.reduce_mean(discount)}


class ActorOnly(tf.Module):
    """An actor that climbs the sum of imagined rewards up to the horizon, without a value model."""

    critic = critic_step = None

    def __init__(self, config, feat_size, action, *, dtype):
        """Builds the network and its optimiser.

        Args:
          config: `DreamerConfig`.
          feat_size: Width of the features (F).
          action: `ActionPart` that the actor chooses.
          dtype: Keras dtype policy.
        """
        super().__init__(name="behavior")
        self.config = config
        self.actor = _build_actor(config.actor, config.dense_activation, action, dtype)
        self.actor.build(feat_size)
        self.actor_step = make_step("actor", self.actor, config.actor_optimizer)

    @property
    def networks(self):
        """Dict of name to Keras model."""
        return {"actor": self.actor}

    def imagination_noise(self, rng, latent, starts):
        """The random draws of an update.

        Args:
          rng: A ``tf.random.Generator``.
          latent: Kind of stochastic state of the world model.
          starts: Number of start states (N).

        Returns:
          Dict of ``imagine`` ``[H, N, S]``, standard normal, and ``action`` ``[H, N, ...]``, what
          the actor's distribution takes.
        """
        shape = [self.config.imag_horizon, starts]
        return {"imagine": latent.draws(rng, shape), "action": self.actor.draws(rng, shape)}

    def update(self, rssm, start, reward, discount, noise, start_weights=1.0):
        """Imagines from the start states, and moves what learns from it.

        All gradients are taken before any variable moves.

        Args:
          rssm: `RSSM` to imagine with.
          start: `State` ``[N, ...]`` without gradient.
          reward: Function of features ``[..., F]`` to predicted rewards ``[...]``.
          discount: Function of features to factors, such as `ConstantDiscount`.
          noise: As `imagination_noise` returns it.
          start_weights: What the trajectory of each start state counts, ``[N]`` or a number.

        Returns:
          Dict of scalar metrics.
        """
        with tf.GradientTape(persistent=True) as tape:
            feat = self.imagine(rssm, start, noise)
            losses, metrics = self.losses(feat, reward, discount, start_weights)
        steps = {"actor": self.actor_step, "critic": self.critic_step}
        gradients = {name: steps[name].gradients(tape, loss) for name, loss in losses.items()}
        del tape
        # The actor's forward pass here is that of the first imagined step.
        policy = self.actor.dist(tf.stop_gradient(get_feat(start)))
        metrics |= self.actor.metrics(policy, noise["action"][0])
        for name, loss in losses.items():
            metrics |= steps[name].apply(loss, gradients[name])
        return metrics

    def imagine(self, rssm, start, noise):
        """Features of imagined states, ``[H, N, F]``.

        ::

            start   s_0 ──a_0──► s_1 ──a_1──► s_2  …  ──a_{H-1}──► s_H
                                 feat[0]      feat[1]              feat[H-1]

        The start states themselves are not part of it: no action of the actor led to them. The
        actor sees features without gradient; the gradient that trains it flows from later states
        through the actions and the dynamics.

        Args:
          rssm: `RSSM`.
          start: `State` ``[N, ...]``.
          noise: As `imagination_noise` returns it.
        """

        def policy(state, action_noise):
            return self.actor.dist(tf.stop_gradient(get_feat(state))).sample(action_noise)

        draws = {"latent": noise["imagine"], "policy": noise["action"]}
        return get_feat(rssm.imagine(policy, start, draws))

    def losses(self, feat, reward, discount, start_weights=1.0):
        """Actor loss −mean(weight · return).

        Args:
          feat: ``[H, N, F]``.
          reward: As for `update`.
          discount: As for `update`.
          start_weights: As for `update`.

        Returns:
          Dict of scalar losses, dict of scalar metrics.

        Reference: arXiv:1912.01603, equation 7.
        """
        returns, weights, metrics = self.returns(feat, reward, discount)
        return {"actor": -tf.reduce_mean(start_weights * weights * returns)}, metrics

    def returns(self, feat, reward, discount):
        """Sums of the rewards up to s_H, see `ActorCritic.returns` for the alignment.

        Args:
          feat: ``[H, N, F]``.
          reward: As for `update`.
          discount: As for `update`; with a discount model, what lies behind a predicted end counts
            less.

        Returns:
          Returns ``[H, N]``, weights ``[H, N]`` without gradient, dict of scalar metrics.

        Reference: arXiv:1912.01603, equation 4.
        """
        rewards, discounts = reward(feat), discount(feat)
        returns = reward_sum(rewards, discounts)
        metrics = _return_metrics(rewards, returns) | discount.metrics(discounts)
        return returns, cumulative_discount(discounts), metrics


class ActorCritic(ActorOnly):
    """An actor that climbs λ-returns by backpropagation through the dynamics, and a value model."""

    def __init__(self, config, feat_size, action, *, dtype):
        """Builds networks and optimisers, see `ActorOnly`."""
        super().__init__(config, feat_size, action, dtype=dtype)
        options = dataclasses.asdict(config.critic) | {"activation": config.dense_activation}
        self.critic = NormalHead(**options, dtype=dtype, name="critic")
        self.critic.build(feat_size)
        self.critic_step = make_step("critic", self.critic, config.critic_optimizer)

    @property
    def networks(self):
        """Dict of name to Keras model."""
        return {"actor": self.actor, "critic": self.critic}

    def losses(self, feat, reward, discount, start_weights=1.0):
        """Losses of actor and critic, see `ActorOnly.losses` and `critic_loss`.

        One pass of the critic serves the returns and its own loss; each loss only moves the
        variables of its own network.
        """
        value = self.critic(feat)
        returns, weights, metrics = self.returns(feat, reward, discount, value)
        weights = start_weights * weights
        losses = {
            "critic": self.critic_loss(value, returns, weights),
            "actor": -tf.reduce_mean(weights * returns),
        }
        return losses, metrics

    def returns(self, feat, reward, discount, value=None):
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
          reward: As for `update`.
          discount: As for `update`.
          value: ``[H, N]``; None: the critic's.

        Returns:
          Returns ``[H-1, N]``, weights ``[H-1, N]`` without gradient, dict of scalar metrics.

        Reference: arXiv:1912.01603, equations 4 to 6.
        """
        value = self.critic(feat) if value is None else value
        rewards, discounts = reward(feat[:-1]), discount(feat[:-1])
        returns = lambda_return(
            rewards, value[:-1], discounts, value[-1], self.config.return_lambda
        )
        metrics = _return_metrics(rewards, returns) | discount.metrics(discounts)
        metrics["imag_value"] = tf.reduce_mean(value)
        return returns, cumulative_discount(discounts), metrics

    def critic_loss(self, value, returns, weights):
        """Value loss ½(v − sg(R))², up to a constant, weighted.

        ::

            value     v_1    v_2    ...   v_{H-1}   (v_H)     v_H has no return to learn from
            return    R_1    R_2          R_{H-1}

        Args:
          value: ``[H, N]``.
          returns: ``[H-1, N]``.
          weights: ``[H-1, N]``.

        Reference: arXiv:1912.01603, equation 8.
        """
        log_prob = UnitNormal(value[:-1]).log_prob(tf.stop_gradient(returns))
        return -tf.reduce_mean(weights * log_prob)


def _build_actor(config, activation, action, dtype):
    network = {"activation": activation, "dtype": dtype, "name": "actor"}
    if action.is_discrete:
        return OneHotActor(config.layers, config.units, action.size, **network)
    return TanhNormalActor(
        config.layers,
        config.units,
        action.size,
        init_std=config.init_std,
        min_std=config.min_std,
        mean_scale=config.mean_scale,
        mode_samples=MODE_SAMPLES[config.eval_mode],
        **network,
    )


def _return_metrics(reward, returns):
    return {
        "imag_reward": tf.reduce_mean(reward),
        "imag_return": tf.reduce_mean(returns),
        "imag_return_std": std_over_replicas(returns),
    }
