"""The world model: recurrent state-space model and what it is trained to represent."""

from dreamer_tf.world_model.diagnostic import DecoderDiagnostic
from dreamer_tf.world_model.latents import (
    BalancedKL,
    CategoricalLatent,
    DeterministicLatent,
    GaussianLatent,
    JointKL,
    SplitKL,
)
from dreamer_tf.world_model.objectives import Contrastive, Reconstruction, RewardOnly
from dreamer_tf.world_model.open_loop import OpenLoop
from dreamer_tf.world_model.overshooting import overshooting_kl
from dreamer_tf.world_model.rssm import RSSM, State, get_feat
from dreamer_tf.world_model.ssm import SSM
from dreamer_tf.world_model.world_model import WorldModel

__all__ = [
    "BalancedKL",
    "CategoricalLatent",
    "Contrastive",
    "DecoderDiagnostic",
    "DeterministicLatent",
    "GaussianLatent",
    "JointKL",
    "OpenLoop",
    "RSSM",
    "Reconstruction",
    "RewardOnly",
    "SSM",
    "SplitKL",
    "State",
    "WorldModel",
    "get_feat",
    "overshooting_kl",
]
