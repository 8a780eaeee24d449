"""Actor and critic of DreamerV3, learned in imagination and from the replay (arXiv:2301.04104).

Everything here is a loss or a part of one: the agent adds them to those of the world model, and one
optimiser moves all networks. Time comes first: trajectories are ``[H, N, ...]``.
"""

from typing import NamedTuple

import tensorflow as tf

from dreamer_tf.behaviors import (
    DeviationScale,
    JointActor,
    PercentileScale,
    SlowCopy,
    UnitScale,
)
from dreamer_tf.distributions import mixed_two_hot
from dreamer_tf.nn import TwoHotHead, rms_silu_layers
from dreamer_tf.ops import (
    lambda_return,
    max_over_replicas,
    min_over_replicas,
    scan,
    std_over_replicas,
)
from dreamer_tf.world_model import get_feat


class Trajectory(NamedTuple):
    """Imagined states and the actions between them, without gradient.

    ::

        feat     s_0 ──a_0──► s_1  …  s_{H-1} ──a_{H-1}──► last = s_H

    Attributes:
      feat: ``[H, N, F]`` features, of the start states first.
      last: ``[1, N, F]`` features of the states that the last actions lead to.
      action: ``[H, N, A]``.
    """

    feat: tf.Tensor
    last: tf.Tensor
    action: tf.Tensor

    def map(self, function):
        """A function of features ``[T, N, F]`` at all states: ``[H+1, N, ...]``.

        The two parts are never joined, which would copy the largest tensor of the update.
        """
        return tf.concat([function(self.feat), function(self.last)], axis=0)


class ActorCritic(tf.Module):
    """Actor, critic, the critic's slow copy, and their losses."""

    def __init__(self, config, feat_size, encoder, *, dtype):
        """Builds the networks.

        Args:
          config: `DreamerV3Config`.
          feat_size: Width of the features (F).
          encoder: `ActionEncoder`.
          dtype: Keras dtype policy.
        """
        super().__init__(name="behavior")
        self.config = config
        actor, critic = config.actor, config.critic
        self.actor = JointActor(
            encoder,
            actor.layers,
            actor.units,
            min_std=actor.min_std,
            max_std=actor.max_std,
            unimix=actor.unimix,
            dtype=dtype,
            name="actor",
        )
        self.critic, slow = (
            TwoHotHead(
                critic.layers,
                critic.units,
                critic.bins,
                dtype=dtype,
                name=name,
                **rms_silu_layers(out_scale=0.0),
            )
            for name in ("critic", "slow_critic")
        )
        for network in (self.actor, self.critic, slow):
            network.build(feat_size)
        self.slow_critic = SlowCopy(
            slow,
            self.critic,
            every=config.slow_every,
            fraction=config.slow_rate,
            first_fraction=config.slow_rate,
        )
        self.return_scale = _make_return_scale(config.return_norm)

    @property
    def networks(self):
        """Dict of name to Keras model, the slow copy left out."""
        return {"actor": self.actor, "critic": self.critic}

    @property
    def discount(self):
        """Factor for each imagined step that the continue model does not hold already."""
        return 1.0 if self.config.cont_discount else 1.0 - 1.0 / self.config.horizon

    def imagination_noise(self, rng, latent, starts):
        """The random draws of an update.

        Args:
          rng: A ``tf.random.Generator``.
          latent: Kind of stochastic state of the world model.
          starts: Number of start states (N).

        Returns:
          Dict of ``imagine``, draws of the latent, and ``action``, of the actor, ``[H, N, ...]``.
        """
        shape = [self.config.imag_horizon, starts]
        return {"imagine": latent.draws(rng, shape), "action": self.actor.draws(rng, shape)}

    def imagine(self, rssm, start, noise):
        """Trajectories of the actor in the world model.

        Args:
          rssm: `RSSM`.
          start: `State` ``[N, ...]``.
          noise: Dict with what `imagination_noise` returns.

        Returns:
          `Trajectory`.
        """

        def step(before, draws):
            state, feat = before[:2]
            action = self.sample(feat, draws["action"])
            state = rssm.img_step(state, action, draws["imagine"])
            return state, get_feat(state), action, feat

        draws = {key: noise[key] for key in ("imagine", "action")}
        # Each step gives out the features before it, too: joining the first to the others later
        # would copy the largest tensor of the update.
        _, after, action, feat = scan(
            step, (start, get_feat(start)), draws, self.config.imag_horizon
        )
        return Trajectory(feat, after[-1:], action)

    def sample(self, feat, draws):
        """Action vectors ``[N, A]`` at features ``[N, F]``, from the actor's ``draws``."""
        return self.actor.dist(feat).sample(draws)

    def returns(self, reward, cont, value):
        """λ-returns of the states of a trajectory, each but the last.

        ::

            state     s_0    s_1    ...   s_{H-1}   s_H
            reward    (r_0)  r_1          r_{H-1}   r_H      for arriving
            cont      (c_0)  c_1          c_{H-1}   c_H      whether anything follows
            value     (v_0)  v_1          v_{H-1}   v_H
            return    R_0    R_1          R_{H-1}

            R_t = r_{t+1} + γ c_{t+1} · ((1 - λ) · v_{t+1} + λ · R_{t+1}),   R_H = v_H

        The return of a state is what comes after it: r_0, c_0 and v_0 are not part of it.

        Args:
          reward: ``[H+1, N]``.
          cont: ``[H+1, N]`` probabilities.
          value: ``[H+1, N]``.

        Returns:
          ``[H, N]``.

        Reference: arXiv:2301.04104, equation 5.
        """
        return lambda_return(
            reward[1:],
            value[:-1],
            self.discount * cont[1:],
            value[-1],
            self.config.return_lambda,
        )

    def planned_return(self, reward, cont, feat):
        """What a planner maximises: the return of the first state, as the actor is trained for it.

        Args:
          reward: Head of the reward model; its mean is on the scale of the rewards themselves.
          cont: Head of the continue model.
          feat: Features ``[H+1, N, F]`` along planned actions, of the start states first.

        Returns:
          ``[N]``.
        """
        value = self.slow_value if self.config.slow_target else self.critic.mean
        after = [function(feat[1:]) for function in (reward.mean, cont.mean, value)]
        # What the start states have is no part of their return, see `returns`.
        return self.returns(*(tf.concat([x[:1], x], axis=0) for x in after))[0]

    def weights(self, cont):
        """How much of the future is left at each state of a trajectory but the last, ``[H, N]``.

        ::

            state     s_0    s_1         s_2            ...
            weight    c_0    γ c_0 c_1   γ² c_0 c_1 c_2

        Args:
          cont: ``[H+1, N]`` probabilities.
        """
        return tf.math.cumprod(self.discount * cont[:-1], axis=0) / self.discount

    def actor_loss(self, policy, action, returns, value, weight):
        """Loss of the actor: -weight · (ln π(a) · sg((R - v) / size) + η · entropy).

        ::

            state      s_0    s_1    ...   s_{H-1}   (s_H)
            action     a_0    a_1          a_{H-1}              a_t leads to s_{t+1}
            return     R_0    R_1          R_{H-1}              what came of it
            value      v_0    v_1          v_{H-1}   (v_H)      what was expected
            weight     w_0    w_1          w_{H-1}

        Advantages are divided by the running size with these returns taken in; `follow` keeps it.
        The offset of the returns is not subtracted: it would cancel out.

        Args:
          policy: Distribution with batch shape ``[H, N]``; entropies by action key.
          action: ``[H, N, A]`` drawn from it.
          returns: ``[H, N]``.
          value: ``[H+1, N]``.
          weight: ``[H, N]``.

        Returns:
          ``[H, N]`` loss, dict of scalar metrics.

        Reference: arXiv:2301.04104, equations 6 and 7.
        """
        offset, size = self.return_scale.stats(returns)
        advantage = tf.stop_gradient((returns - value[:-1]) / size)
        entropies = policy.entropy()
        objective = policy.log_prob(tf.stop_gradient(action)) * advantage
        objective += self.config.entropy_scale * sum(entropies.values())
        normed = (returns - offset) / size
        metrics = {
            "advantage": tf.reduce_mean(advantage),
            "advantage_std": std_over_replicas(advantage),
            "advantage_size": tf.reduce_mean(tf.abs(advantage)),
            "return_size": size,
            "return_normed": tf.reduce_mean(normed),
            "return_normed_min": min_over_replicas(normed),
            "return_normed_max": max_over_replicas(normed),
            "return_large": tf.reduce_mean(tf.cast(tf.abs(normed) >= 1.0, tf.float32)),
        }
        metrics |= {f"{key}_entropy": tf.reduce_mean(x) for key, x in entropies.items()}
        return -tf.stop_gradient(weight) * objective, metrics

    def critic_loss(self, dist, target, slow_value, weight, slow_scale):
        """Loss of the critic: -weight · (ln p(target) + β · ln p(slow value)).

        The second term keeps the critic near its own slow copy, where the returns that it learns
        from are made of its own predictions. Both targets are shares of the same points, so one
        cross entropy with their sum serves both.

        Args:
          dist: `TwoHot` with batch shape ``[T, N]``.
          target: ``[T, N]`` returns.
          slow_value: ``[T, N]`` predictions of the slow critic.
          weight: ``[T, N]``.
          slow_scale: Weight of the second term (β).

        Returns:
          ``[T, N]`` loss.

        Reference: arXiv:2301.04104, equation 5 and section "Critic learning".
        """
        whole = 1.0 + slow_scale
        parts = [(1.0 / whole, target), (slow_scale / whole, slow_value)]
        log_prob = dist.expected_log_prob(mixed_two_hot(parts, dist.bins))
        return -tf.stop_gradient(weight) * whole * log_prob

    def replay_returns(self, reward, is_last, is_terminal, bootstrap):
        """λ-returns along replayed sequences, each row but the last.

        ::

            state      s_0    s_1    ...   s_{T-2}   s_{T-1}
            reward     (r_0)  r_1          r_{T-2}   r_{T-1}     for arriving
            bootstrap  (b_0)  b_1          b_{T-2}   b_{T-1}     imagined return of the state
            return     R_0    R_1          R_{T-2}

            R_t = r_{t+1} + γ live_{t+1} · ((1 - λ_{t+1}) · b_{t+1} + λ_{t+1} · R_{t+1})

        ``live`` is 0 in terminal states, where nothing follows. λ is 0 in the last state of an
        episode: what the sequence holds behind it is another one. So λ-returns that begin at a
        last state belong to no action; `replay_loss` leaves them out.

        Args:
          reward: ``[T, B]``.
          is_last: ``[T, B]`` bool.
          is_terminal: ``[T, B]`` bool.
          bootstrap: ``[T, B]``.

        Returns:
          ``[T-1, B]``.
        """
        config = self.config
        live = (1.0 - 1.0 / config.horizon) * (1.0 - tf.cast(is_terminal[1:], tf.float32))
        lambda_ = config.replay_lambda * (1.0 - tf.cast(is_last[1:], tf.float32))
        return lambda_return(reward[1:], bootstrap[:-1], live, bootstrap[-1], lambda_)

    def imagined_losses(self, trajectory, reward, cont):
        """Losses of actor and critic on imagined trajectories.

        Args:
          trajectory: `Trajectory`.
          reward: ``[H+1, N]`` predicted rewards, without gradient.
          cont: ``[H+1, N]`` predicted probabilities to continue, without gradient.

        Returns:
          Dict of ``policy`` and ``value`` losses ``[H, N]``, returns ``[H, N]`` without gradient,
          dict of scalar metrics.
        """
        dist = self.critic.dist(trajectory.feat)
        last = self.critic.dist(trajectory.last).mean()
        value = tf.stop_gradient(tf.concat([dist.mean(), last], axis=0))
        slow_value = tf.stop_gradient(trajectory.map(self.slow_value))
        target = slow_value if self.config.slow_target else value
        returns, weight = self.returns(reward, cont, target), self.weights(cont)
        policy = self.actor.dist(trajectory.feat)
        policy_loss, metrics = self.actor_loss(policy, trajectory.action, returns, target, weight)
        scale = self.config.slow_scale
        value_loss = self.critic_loss(dist, returns, slow_value[:-1], weight, scale)
        metrics |= self._entropy_shares(policy, metrics)
        metrics |= {
            "imag_reward": tf.reduce_mean(reward),
            "imag_cont": tf.reduce_mean(cont),
            "imag_value": tf.reduce_mean(value),
            "imag_slow_value": tf.reduce_mean(slow_value),
            "imag_return": tf.reduce_mean(returns),
            "imag_return_std": std_over_replicas(returns),
            "imag_weight": tf.reduce_mean(weight),
        }
        return {"policy": policy_loss, "value": value_loss}, returns, metrics

    def replay_loss(self, feat, batch, bootstrap):
        """Loss of the critic on replayed sequences, see `replay_returns` and `critic_loss`.

        The last state of an episode has no weight.

        Args:
          feat: ``[T, B, F]`` features of posterior states.
          batch: Dict of ``[T, B]``: ``reward``, ``is_last``, ``is_terminal``.
          bootstrap: ``[T, B]`` imagined returns of the states, without gradient.

        Returns:
          ``[T-1, B]``; where T is 1, which has no return along rows, zeros ``[1, B]``.
        """
        if feat.shape[0] == 1:
            return tf.zeros(bootstrap.shape)
        returns = self.replay_returns(
            batch["reward"], batch["is_last"], batch["is_terminal"], bootstrap
        )
        weight = 1.0 - tf.cast(batch["is_last"][:-1], tf.float32)
        feat = feat[:-1]
        slow_value = tf.stop_gradient(self.slow_value(feat))
        scale = self.config.replay_slow_scale
        return self.critic_loss(self.critic.dist(feat), returns, slow_value, weight, scale)

    def follow(self, returns, skipped):
        """What goes on behind an update: the slow critic moves, the returns enter their scale.

        Args:
          returns: ``[H, N]`` as `imagined_losses` returned them.
          skipped: 1 if the update was skipped; the scale then stays.
        """
        self.return_scale.update(returns, skipped)
        self.slow_critic.update()

    def slow_value(self, feat):
        """Predictions of the slow critic, ``[...]`` at features ``[..., F]``."""
        return self.slow_critic.network.dist(feat).mean()

    def _entropy_shares(self, policy, metrics):
        """Entropies between the smallest (0) and the largest (1) that the distributions allow."""
        return {
            f"{key}_randomness": tf.math.divide_no_nan(metrics[f"{key}_entropy"] - low, high - low)
            for key, (low, high) in policy.entropy_bounds().items()
        }


def _make_return_scale(config):
    options = {"rate": config.rate, "limit": config.limit, "debias": config.debias}
    return {
        "percentiles": lambda: PercentileScale(low=config.low, high=config.high, **options),
        "deviation": lambda: DeviationScale(**options),
        "none": UnitScale,
    }[config.kind]()
