"""What chooses actions in a latent state: an actor, or a planner.

Both have ``noise(rng, batch_size)``, the random draws that ``sample(state, noise)`` takes, and
``mode(state, rng)``, the choice without exploration. ``kind`` says which of the two it is, and
``choices`` which of ``mode`` and ``sample`` differ.
"""

from dreamer_tf.ops import leading_size
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

    def noise(self, rng, batch_size):
        """Draws for `sample`, what the actor's distribution takes.

        Args:
          rng: A ``tf.random.Generator``.
          batch_size: Environments (N).
        """
        return self._actor.noise(rng, [batch_size])

    def sample(self, state, noise):
        """A sampled action ``[N, A]`` in each `State` ``[N, ...]``."""
        return self._actor.dist(get_feat(state)).sample(noise)

    def mode(self, state, rng):
        """The actor's mode action ``[N, A]``."""
        return self._actor.mode(get_feat(state), rng)


class PlannerBehavior:
    """Searches in the model at every step and takes the first action of the plan."""

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

    def noise(self, rng, batch_size):
        """Draws for `sample`.

        Args:
          rng: A ``tf.random.Generator``.
          batch_size: Environments (N).

        Returns:
          Dict of ``plan`` ``[I, N, J, H, A]`` and ``rollout`` ``[I, H, N J, S]``, for I iterations
          with J candidates each.
        """
        planner = self.planner
        rollouts = [planner.iterations, planner.horizon, batch_size * planner.candidates]
        return {
            "plan": planner.noise(rng, batch_size, self._action_size),
            "rollout": self._latent.noise(rng, rollouts),
        }

    def sample(self, state, noise):
        """The first action ``[N, A]`` of a plan from each `State` ``[N, ...]``."""
        return self.planner.plan(state, noise["plan"], noise["rollout"])[:, 0]

    def mode(self, state, rng):
        """The same with fresh draws: a plan has no further randomness of its own."""
        return self.sample(state, self.noise(rng, leading_size(state.stoch)))
