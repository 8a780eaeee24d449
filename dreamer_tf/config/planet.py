"""Options of PlaNet, see `dreamer_tf.config.schema`.

Defaults are the paper's (arXiv:1811.04551).
"""

import dataclasses

from dreamer_tf.config import shared
from dreamer_tf.config.fields import option, section
from dreamer_tf.config.shared import (
    GaussianRSSMConfig,
    HeadConfig,
    ObservationConfig,
    OptimizerConfig,
    PlannerConfig,
)


@dataclasses.dataclass(frozen=True)
class PlaNetConfig:
    transition: str = option(
        "rssm",
        "transition model: with a deterministic and a stochastic state (rssm), or, as in the "
        "paper's comparison, with only the first (rnn) or only the second (ssm)",
        ("rssm", "rnn", "ssm"),
    )
    rssm: GaussianRSSMConfig = section(
        GaussianRSSMConfig, "transition model; ssm has no deterministic state"
    )
    encoder: ObservationConfig = section(ObservationConfig, "observations to embeddings")
    decoder: ObservationConfig = section(ObservationConfig, "features to observations")
    reward: HeadConfig = section(HeadConfig, "reward model")
    planner: PlannerConfig = section(PlannerConfig, "the search for actions")
    activation: str = shared.activation(
        "relu", text="of the dense layers; convolutions always have relu"
    )
    image_bits: int = option(
        5,
        "bits of a colour that the model sees, with uniform noise as wide as what is left out",
        minimum=1,
        maximum=8,
    )
    reward_scale: float = shared.reward_scale(10.0)
    kl_scale: float = shared.kl_scale(1.0)
    free_nats: float = shared.free_nats(
        3.0, text="KL below this many nats is not penalised, at each time step"
    )
    overshooting_scale: float = option(
        0.0, "weight of latent overshooting: the KL to predictions of several steps", minimum=0
    )
    overshooting_distance: int = option(
        50,
        "longest predictions of latent overshooting, in steps; a sequence of T rows has T - 1",
        minimum=2,
    )
    exploration_noise: float = shared.exploration_noise(0.3)
    optimizer: OptimizerConfig = section(
        OptimizerConfig,
        "Adam for the world model",
        learning_rate=1e-3,
        epsilon=1e-4,
        grad_clip=1000.0,
    )
