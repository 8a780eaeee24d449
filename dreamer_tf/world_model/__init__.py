"""The world model: recurrent state-space model and what it is trained to represent."""

from dreamer_tf.world_model.diagnostic import DecoderDiagnostic
from dreamer_tf.world_model.dreamerpro import DreamerPro, Prototypes, sinkhorn
from dreamer_tf.world_model.latents import (
    BalancedKL,
    CategoricalLatent,
    DeterministicLatent,
    GaussianLatent,
    JointKL,
    SplitKL,
)
from dreamer_tf.world_model.objectives import (
    R2,
    Contrastive,
    InfoNCE,
    Objective,
    Reconstruction,
    RewardOnly,
    effective_rank,
)
from dreamer_tf.world_model.open_loop import OpenLoop
from dreamer_tf.world_model.overshooting import overshooting_kl
from dreamer_tf.world_model.rssm import RSSM, State, get_feat
from dreamer_tf.world_model.ssm import SSM
from dreamer_tf.world_model.world_model import WorldModel

__all__ = [
    "R2",
    "BalancedKL",
    "CategoricalLatent",
    "Contrastive",
    "DecoderDiagnostic",
    "DeterministicLatent",
    "DreamerPro",
    "GaussianLatent",
    "InfoNCE",
    "JointKL",
    "Objective",
    "OpenLoop",
    "Prototypes",
    "RSSM",
    "Reconstruction",
    "RewardOnly",
    "SSM",
    "SplitKL",
    "State",
    "WorldModel",
    "effective_rank",
    "get_feat",
    "overshooting_kl",
    "sinkhorn",
]
