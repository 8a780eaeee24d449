"""What plays the training episodes of DreamerV2, next to the behaviour that learns the task.

A way of exploring has ``behavior``, which chooses the actions (see `behaviors.acting`),
`networks`, and what it learns itself: `imagination_noise`, the random draws of an update, and
`update`. The task's behaviour learns in any case, from whatever was experienced: evaluation,
which it plays, shows how well it would do without an episode of its own (zero-shot), and from
`Switched`'s update on it plays the training episodes, too (few-shot).
"""

import tensorflow as tf

from dreamer_tf.agents.base import make_step
from dreamer_tf.agents.dreamerv2_behavior import ActorCritic, hidden_block
from dreamer_tf.behaviors import ActorBehavior, Disagreement, Switched, Uniform
from dreamer_tf.nn import Ensemble
from dreamer_tf.world_model import get_feat


class Exploration(tf.Module):
    """Exploration that learns nothing: by the task's own behaviour, or at random."""

    def __init__(self, behavior):
        """Wraps the behaviour.

        Args:
          behavior: Chooses the actions.
        """
        super().__init__(name="exploration")
        self.behavior = behavior

    @property
    def networks(self):
        """Dict of name to Keras model."""
        return {}

    def imagination_noise(self, rng, latent, starts):
        """There is nothing to draw."""
        del rng, latent, starts
        return {}

    def update(self, rssm, post, batch, reward, discount, noise, grad_steps):
        """There is nothing to learn, see `Plan2Explore.update`."""
        del rssm, post, batch, reward, discount, noise, grad_steps
        return {}


class Plan2Explore(tf.Module):
    """An actor and critic of its own, trained in imagination to find what the model cannot predict.

    Differences from the author's code: an imagined state is rewarded for the disagreement about the
    action that led to it, as in the paper, not about what follows it given the action before; and
    predictions over an episode's beginning are not learned.

    Reference: arXiv:2005.05960.
    """

    def __init__(self, config, rssm, action, *, dtype):
        """Builds networks and optimisers.

        Args:
          config: `DreamerV2Config`; reads also its ``explore``.
          rssm: Built `RSSM`.
          action: `ActionPart`.
          dtype: Keras dtype policy.
        """
        super().__init__(name="plan2explore")
        self.config = config.explore
        self.actor_critic = ActorCritic(config, rssm.feat_size, action, dtype=dtype, name="explore")
        self.behavior = ActorBehavior(self.actor_critic.actor)
        sizes = {"stoch": rssm.latent.size, "deter": rssm.cell.deter, "feat": rssm.feat_size}
        explore = self.config
        self.ensemble = Ensemble(
            explore.models,
            explore.layers,
            explore.units,
            sizes[explore.target],
            dtype=dtype,
            name="explore_ensemble",
            **hidden_block(config),
        )
        self.ensemble.build(rssm.feat_size + action.size)
        self.disagreement = Disagreement(self.ensemble)
        self.ensemble_step = make_step("explore_ensemble", self.ensemble, explore.optimizer)

    @property
    def networks(self):
        """Dict of name to Keras model."""
        return self.actor_critic.networks | {"explore_ensemble": self.ensemble}

    def imagination_noise(self, rng, latent, starts):
        """The random draws of an update, ``explore_imagine`` and ``explore_action``."""
        draws = self.actor_critic.imagination_noise(rng, latent, starts)
        return {f"explore_{name}": draw for name, draw in draws.items()}

    def update(self, rssm, post, batch, reward, discount, noise, grad_steps):
        """Moves the ensemble towards what happened, then actor and critic towards disagreement.

        Args:
          rssm: `RSSM`.
          post: Posterior `State` ``[B, T, ...]`` of the batch.
          batch: Dict of ``[B, T, ...]``, ``action`` as vectors.
          reward: Predicts the task's reward, see `ActorCritic.update`.
          discount: Likewise.
          noise: Dict with the draws of `imagination_noise`.
          grad_steps: Updates so far.

        Returns:
          Dict of scalar metrics.
        """
        post = tf.nest.map_structure(tf.stop_gradient, post)
        feat = get_feat(post)
        targets = {"stoch": post.stoch, "deter": post.deter, "feat": feat}
        with tf.GradientTape() as tape:
            loss = self.disagreement.loss(
                feat, batch["action"], targets[self.config.target], batch["is_first"]
            )
        metrics = self.ensemble_step.apply(loss, self.ensemble_step.gradients(tape, loss))

        def curiosity(feat, action):
            total = self.config.intrinsic_scale * self.disagreement.reward(feat, action)
            if self.config.extrinsic_scale:
                total += self.config.extrinsic_scale * reward(feat, action)
            return total

        start = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), post)
        draws = {name: noise[f"explore_{name}"] for name in ("imagine", "action")}
        metrics |= self.actor_critic.update(rssm, start, curiosity, discount, draws, grad_steps)
        return metrics


def make_exploration(config, task, rssm, action, grad_steps, *, dtype):
    """The exploration that the config names.

    Args:
      config: `DreamerV2Config`.
      task: Behaviour that acts for the task.
      rssm: Built `RSSM`.
      action: `ActionPart`.
      grad_steps: Variable that counts the updates.
      dtype: Keras dtype policy.
    """
    explore = config.explore
    if explore.behavior == "plan2explore":
        exploration = Plan2Explore(config, rssm, action, dtype=dtype)
    else:
        exploration = Exploration({"task": task, "random": Uniform(action)}[explore.behavior])
    if explore.until:
        exploration.behavior = Switched(exploration.behavior, task, explore.until, grad_steps)
    return exploration
