"""The world model: recurrent state-space model and what it is trained to represent."""

from dreamer_tf.world_model.kl import FREE_NATS, BalancedKL, JointKL, joint_kl, split_kl
from dreamer_tf.world_model.latents import (
    CategoricalLatent,
    DeterministicLatent,
    GaussianLatent,
)
from dreamer_tf.world_model.objectives import Contrastive, Reconstruction, RewardOnly
from dreamer_tf.world_model.overshooting import overshooting_kl
from dreamer_tf.world_model.rssm import RSSM, State, get_feat
from dreamer_tf.world_model.ssm import SSM
from dreamer_tf.world_model.world_model import WorldModel

__all__ = [
    "FREE_NATS",
    "BalancedKL",
    "JointKL",
    "RSSM",
    "SSM",
    "CategoricalLatent",
    "Contrastive",
    "DeterministicLatent",
    "GaussianLatent",
    "Reconstruction",
    "RewardOnly",
    "State",
    "WorldModel",
    "get_feat",
    "joint_kl",
    "overshooting_kl",
    "split_kl",
]
