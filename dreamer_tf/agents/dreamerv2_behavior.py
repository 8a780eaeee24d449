"""Actor and critic of DreamerV2, learned in imagination (arXiv:2010.02193, section 2).

A behaviour is trained for whatever reward it is handed: the agent's own is the one that the world
model predicts.
"""

import tensorflow as tf

from dreamer_tf.agents.base import make_step
from dreamer_tf.behaviors import (
    DynamicsGradient,
    MixedGradient,
    OneHotActor,
    ReinforceGradient,
    RewardScale,
    SlowCopy,
    TruncatedNormalActor,
)
from dreamer_tf.distributions import UnitNormal
from dreamer_tf.nn import NormalHead
from dreamer_tf.ops import Schedule, cumulative_discount, lambda_return, scan, std_over_replicas
from dreamer_tf.world_model import get_feat


class ActorCritic(tf.Module):
    """Actor, critic, the critic's slow copy, and how they learn from imagined trajectories.

    Time comes first here: trajectories are ``[H+1, N, ...]``, the start states included.
    """

    def __init__(self, config, feat_size, action, *, dtype, name=""):
        """Builds networks and optimisers.

        Args:
          config: `DreamerV2Config`.
          feat_size: Width of the features (F).
          action: `ActionPart` that the actor chooses.
          dtype: Keras dtype policy.
          name: Prefix of the metrics, for a behaviour besides the agent's own.
        """
        super().__init__(name=name or "behavior")
        self.config = config
        self.prefix = f"{name}_" if name else ""
        self.actor = _build_actor(config, action, dtype)
        self.critic, slow = (
            NormalHead(
                config.critic.layers,
                config.critic.units,
                dtype=dtype,
                name=part,
                **hidden_block(config),
            )
            for part in ("critic", "slow_critic")
        )
        for network in (self.actor, self.critic, slow):
            network.build(feat_size)
        self.slow_critic = SlowCopy(
            slow, self.critic, every=config.slow_every, fraction=config.slow_fraction
        )
        self.gradient = _build_gradient(config, action)
        self.entropy_scale = Schedule(config.entropy_scale)
        norm = config.reward_norm
        self.reward_scale = RewardScale(
            momentum=norm.momentum, scale=norm.scale, epsilon=norm.epsilon
        )
        self.actor_step = make_step("actor", self.actor, config.actor_optimizer)
        self.critic_step = make_step("critic", self.critic, config.critic_optimizer)

    @property
    def networks(self):
        """Dict of name to Keras model, the slow copy left out."""
        return {f"{self.prefix}actor": self.actor, f"{self.prefix}critic": self.critic}

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

    def update(self, rssm, start, reward, discount, noise, grad_steps):
        """Imagines from the start states, and moves actor and critic.

        Args:
          rssm: `RSSM` to imagine with.
          start: `State` ``[N, ...]`` without gradient.
          reward: Function of features ``[H+1, N, F]`` and actions ``[H, N, A]`` to rewards
            ``[H+1, N]`` for arriving at the states.
          discount: Function of features to discount factors ``[H+1, N]``.
          noise: Dict with what `imagination_noise` returns.
          grad_steps: Updates so far, for the schedules.

        Returns:
          Dict of scalar metrics.
        """
        actor_variables = [variable.value for variable in self.actor.trainable_variables]
        # What the actor's variables do not move needs no gradient, and no time in building it.
        with tf.GradientTape(watch_accessed_variables=False) as actor_tape:
            actor_tape.watch(actor_variables)
            feat, action, outputs = self.imagine(rssm, start, noise)
            predicted = reward(feat, action)
            rewards = self.reward_scale(predicted)
            discounts = discount(feat)
            target, value = self.returns(feat, rewards, discounts)
            weight = cumulative_discount(discounts)
            actor_loss, metrics = self.actor_loss(
                outputs, action, target, value, weight, grad_steps
            )
        with tf.GradientTape() as critic_tape:
            critic_loss = self.critic_loss(feat, target, weight)

        actor_gradients = self.actor_step.gradients(actor_tape, actor_loss)
        critic_gradients = self.critic_step.gradients(critic_tape, critic_loss)
        metrics |= {
            "imag_reward": tf.reduce_mean(rewards),
            "imag_discount": tf.reduce_mean(discounts),
            "imag_value": tf.reduce_mean(value),
            "imag_return": tf.reduce_mean(target),
            "imag_return_std": std_over_replicas(target),
        }
        metrics |= self.actor_step.apply(actor_loss, actor_gradients)
        metrics |= self.critic_step.apply(critic_loss, critic_gradients)
        skipped = tf.maximum(metrics["actor_nonfinite"], metrics["critic_nonfinite"])
        self.reward_scale.update(predicted, skipped)
        self.slow_critic.update()
        return {f"{self.prefix}{name}": metric for name, metric in metrics.items()}

    def imagine(self, rssm, start, noise):
        """Trajectories of the actor in the world model.

        ::

            feat     s_0 ──a_0──► s_1 ──a_1──► s_2  …  ──a_{H-1}──► s_H       [H+1, N, F]
            action        a_0          a_1             a_{H-1}               [H, N, A]

        The start state is part of it: its value is a baseline, and its return trains the critic.
        The actor sees features without gradient. One pass of it at each step serves the action, its
        probability and the entropy: the network's outputs are kept.

        Args:
          rssm: `RSSM`.
          start: `State` ``[N, ...]``.
          noise: Dict with what `imagination_noise` returns.

        Returns:
          Features ``[H+1, N, F]``, actions ``[H, N, A]`` and the actor's outputs ``[H, N, ...]``.
        """

        def step(before, draws):
            state, feat = before[:2]
            outputs = self.actor(tf.stop_gradient(feat))
            action = self.actor.dist_of(outputs).sample(draws["action"])
            state = rssm.img_step(state, action, draws["imagine"])
            return state, get_feat(state), action, outputs

        first = get_feat(start)
        draws = {key: noise[key] for key in ("imagine", "action")}
        _, feats, actions, outputs = scan(step, (start, first), draws, self.config.imag_horizon)
        return tf.concat([first[None], feats], axis=0), actions, outputs

    def returns(self, feat, reward, discount):
        """λ-returns from the slow critic.

        ::

            state      s_0    s_1    ...   s_{H-1}   s_H
            reward     r_0    r_1          r_{H-1}   (r_H)     for arriving; r_H: nothing follows it
            discount   γ_0    γ_1          γ_{H-1}   (γ_H)
            value      v_0    v_1          v_{H-1}   v_H       v_H bootstraps, so it has no return
            target     t_0    t_1          t_{H-1}

        Args:
          feat: ``[H+1, N, F]``.
          reward: ``[H+1, N]``.
          discount: ``[H+1, N]``.

        Returns:
          Targets ``[H, N]`` and the slow critic's values ``[H+1, N]``.

        Reference: arXiv:2010.02193, equation 4.
        """
        value = self.slow_critic.network(feat)
        target = lambda_return(
            reward[:-1], value[:-1], discount[:-1], value[-1], self.config.return_lambda
        )
        return target, value

    def actor_loss(self, outputs, action, target, value, weight, grad_steps):
        """Loss of the actor: −mean of weight · (objective + η · entropy).

        ::

            state      s_0    s_1    ...   s_{H-2}   (s_{H-1})   (s_H)
            action     a_0    a_1          a_{H-2}   (a_{H-1})            a_t leads to s_{t+1}
            value      v_0    v_1          v_{H-2}                        baseline
            target     t_1    t_2          t_{H-1}                        of the state it leads to
            entropy    e_0    e_1          e_{H-2}
            weight     1      γ_0          γ_0⋯γ_{H-3}

        The last two states fall away: s_H has no target, for it bootstraps, so a_{H-1}, which leads
        there, has nothing to be judged by. What an action is worth is the target of the state that
        it leads to; its baseline, the value of the state that it was taken in, also holds the
        reward for having arrived there, as in the author's code.

        Args:
          outputs: ``[H, N, ...]`` outputs of the actor at s_0 … s_{H-1}.
          action: ``[H, N, A]`` actions drawn from them.
          target: ``[H, N]``.
          value: ``[H+1, N]``.
          weight: ``[H+1, N]``.
          grad_steps: Updates so far.

        Returns:
          Scalar loss, dict of scalar metrics.

        Reference: arXiv:2010.02193, equation 6.
        """
        policy = self.actor.dist_of(outputs[:-1])
        objective, metrics = self.gradient(policy, action[:-1], target[1:], value[:-2], grad_steps)
        entropy, scale = policy.entropy(), self.entropy_scale(grad_steps)
        loss = -tf.reduce_mean(weight[:-2] * (objective + scale * entropy))
        metrics |= self.actor.metrics(policy, None)
        return loss, metrics | {"actor_entropy_scale": scale}

    def critic_loss(self, feat, target, weight):
        """Loss of the critic: mean of weight · −ln Normal(target; value, 1).

        ::

            state     s_0    s_1    ...   s_{H-1}   (s_H)     s_H has no target
            value     v_0    v_1          v_{H-1}
            target    t_0    t_1          t_{H-1}

        Args:
          feat: ``[H+1, N, F]``.
          target: ``[H, N]``.
          weight: ``[H+1, N]``.

        Reference: arXiv:2010.02193, equation 5.
        """
        value = self.critic(tf.stop_gradient(feat[:-1]))
        log_prob = UnitNormal(value).log_prob(tf.stop_gradient(target))
        return -tf.reduce_mean(weight[:-1] * log_prob)


def hidden_block(config):
    """Arguments that say what the hidden layers of all networks consist of."""
    return {"activation": config.activation, "norm": config.norm}


def _build_actor(config, action, dtype):
    actor = config.actor
    network = hidden_block(config) | {"dtype": dtype, "name": "actor"}
    if action.is_discrete:
        return OneHotActor(actor.layers, actor.units, action.size, **network)
    return TruncatedNormalActor(
        actor.layers,
        actor.units,
        action.size,
        init_std=actor.init_std,
        min_std=actor.min_std,
        **network,
    )


def _build_gradient(config, action):
    kind = config.actor_gradient
    if kind == "auto":
        kind = "reinforce" if action.is_discrete else "dynamics"
    return {
        "dynamics": DynamicsGradient,
        "reinforce": ReinforceGradient,
        "both": lambda: MixedGradient(Schedule(config.actor_gradient_mix)),
    }[kind]()
