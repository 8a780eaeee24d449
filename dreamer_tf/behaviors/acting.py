"""What chooses actions in a latent state: an actor, or a planner.

Both have ``draws(rng, batch_size, mode)`` and ``action(state, noise, mode, plan)``: the action
``[N, A]`` in each `State` ``[N, ...]`` with those draws, a sample in the mode ``train``, the best
known one in ``eval``; and what is left of a plan for the next step, which only `GuidedPlanner`
makes: the others hand on what they were given. ``kind`` says which of the two it is, and
``choices`` which of ``mode`` and ``sample`` differ.
"""

import tensorflow as tf

from dreamer_tf.world_model import get_feat


class ActorBehavior:
    """Acts as an actor says."""

    kind = "actor"
    choices = ("mode", "sample")

    def __init__(self, actor):
        """Wraps the network.

        Args:
          actor: Actor such as `TanhNormalActor`.
        """
        self._actor = actor

    def draws(self, rng, batch_size, mode):
        """Draws for `action`, what the actor's distribution takes.

        Args:
          rng: A ``tf.random.Generator``.
          batch_size: Environments (N).
          mode: ``train`` or ``eval``.
        """
        draw = {"train": self._actor.draws, "eval": self._actor.mode_draws}[mode]
        return draw(rng, [batch_size])

    def action(self, state, noise, mode, plan=()):
        """A sampled action ``[N, A]`` in each `State` ``[N, ...]``, or the mode action."""
        feat = get_feat(state)
        if mode == "train":
            return self._actor.dist(feat).sample(noise), plan
        return self._actor.mode(feat, noise), plan


class PlannerBehavior:
    """Searches in the model at every step and takes the first action of the plan.

    Apart from the search's own draws a plan has no randomness: both modes are the same.
    """

    kind = "planner"
    choices = ("mode",)

    def __init__(self, planner, latent, action_size):
        """Joins the search and the model's draws for it.

        Args:
          planner: `CrossEntropyPlanner` whose evaluation takes draws ``[H, N J, S]``.
          latent: Kind of stochastic state such as `GaussianLatent`.
          action_size: Action dimensions (A).
        """
        self.planner = planner
        self._latent = latent
        self._action_size = action_size

    def draws(self, rng, batch_size, mode="eval"):
        """Draws for `action`.

        Args:
          rng: A ``tf.random.Generator``.
          batch_size: Environments (N).
          mode: Makes no difference.

        Returns:
          Dict of ``plan`` ``[I, N, J, H, A]`` and ``rollout`` ``[I, H, N J, S]``, for I iterations
          with J candidates each.
        """
        del mode
        planner = self.planner
        rollouts = [planner.iterations, planner.horizon, batch_size * planner.candidates]
        return {
            "plan": planner.draws(rng, batch_size, self._action_size),
            "rollout": self._latent.draws(rng, rollouts),
        }

    def action(self, state, noise, mode="eval", plan=()):
        """The first action ``[N, A]`` of a plan from each `State` ``[N, ...]``."""
        del mode
        return self.planner.plan(state, noise["plan"], noise["rollout"])[:, 0], plan


class Uniform:
    """Takes every action with the same probability, whatever the state. Plays training only."""

    def __init__(self, part):
        """Describes the actions, an `ActionPart`."""
        self._part = part

    def draws(self, rng, batch_size, mode="train"):
        """Uniform draws in [0, 1): ``[N, A]``, or ``[N]`` for one category."""
        del mode
        shape = [batch_size] if self._part.is_discrete else [batch_size, self._part.size]
        return rng.uniform(shape)

    def action(self, state, noise, mode="train", plan=()):
        """A random action ``[N, A]``; the `State` is not looked at."""
        del state, mode
        if not self._part.is_discrete:
            return 2.0 * noise - 1.0, plan
        return tf.one_hot(tf.cast(noise * self._part.size, tf.int32), self._part.size), plan


class Switched:
    """One behaviour until so many updates were made, another one from then on."""

    def __init__(self, first, then, until, grad_steps):
        """Joins two behaviours.

        Args:
          first: Behaviour such as `Uniform`.
          then: Likewise.
          until: Number of updates.
          grad_steps: Variable that counts them.
        """
        self._first = first
        self._then = then
        self._until = until
        self._grad_steps = grad_steps

    def draws(self, rng, batch_size, mode):
        """The draws of both, so that the switch does not change how many are drawn."""
        return (
            self._first.draws(rng, batch_size, mode),
            self._then.draws(rng, batch_size, mode),
        )

    def action(self, state, noise, mode, plan=()):
        """An action ``[N, A]`` in each `State` ``[N, ...]``."""
        return tf.cond(
            self._grad_steps < self._until,
            lambda: self._first.action(state, noise[0], mode, plan),
            lambda: self._then.action(state, noise[1], mode, plan),
        )


def kept(plan, is_first):
    """What is left of plans ``[N, H, A]``: nothing, which is zeros, where an episode begins.

    Args:
      plan: As a behaviour returned it.
      is_first: ``[N]`` bool.
    """
    return tf.nest.map_structure(lambda x: tf.where(is_first[:, None, None], 0.0, x), plan)
