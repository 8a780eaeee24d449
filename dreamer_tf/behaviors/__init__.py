"""How actions are chosen: actors, planners, exploration."""

from dreamer_tf.behaviors.acting import (
    ActorBehavior,
    PlannerBehavior,
    Switched,
    Uniform,
    kept,
)
from dreamer_tf.behaviors.actions import ActionEncoder, ActionPart, JointActions, JointActor
from dreamer_tf.behaviors.actor import OneHotActor, TanhNormalActor, TruncatedNormalActor
from dreamer_tf.behaviors.actor_gradients import (
    DynamicsGradient,
    MixedGradient,
    ReinforceGradient,
)
from dreamer_tf.behaviors.disagreement import Disagreement
from dreamer_tf.behaviors.exploration import EpsilonGreedy, GaussianNoise
from dreamer_tf.behaviors.latent_model import Latent, LatentModel, SeededDraws, Valuation
from dreamer_tf.behaviors.planner import CrossEntropyPlanner, GuidedPlanner
from dreamer_tf.behaviors.running import (
    DeviationScale,
    PercentileScale,
    RewardScale,
    SlowCopy,
    UnitScale,
)

__all__ = [
    "ActionEncoder",
    "ActionPart",
    "ActorBehavior",
    "CrossEntropyPlanner",
    "DeviationScale",
    "Disagreement",
    "DynamicsGradient",
    "EpsilonGreedy",
    "GaussianNoise",
    "GuidedPlanner",
    "JointActions",
    "JointActor",
    "Latent",
    "LatentModel",
    "MixedGradient",
    "OneHotActor",
    "PercentileScale",
    "PlannerBehavior",
    "ReinforceGradient",
    "RewardScale",
    "SeededDraws",
    "SlowCopy",
    "Switched",
    "TanhNormalActor",
    "TruncatedNormalActor",
    "Uniform",
    "UnitScale",
    "Valuation",
    "kept",
]
