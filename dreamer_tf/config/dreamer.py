"""Options of Dreamer, see `dreamer_tf.config.schema`.

Defaults are the paper's visual control settings (arXiv:1912.01603).
"""

import dataclasses

from dreamer_tf.config import shared
from dreamer_tf.config.fields import option, section
from dreamer_tf.config.shared import (
    ActorConfig,
    GaussianRSSMConfig,
    GuidedPlannerConfig,
    HeadConfig,
    ObservationConfig,
    OptimizerConfig,
)


@dataclasses.dataclass(frozen=True)
class TanhActorConfig(ActorConfig):
    """All standard deviations are those before the tanh."""

    init_std: float = option(5.0, "standard deviation at a zero output, before the tanh", above=0)
    mean_scale: float = option(5.0, "bound of the mean, before the tanh", above=0)
    eval_mode: str = option(
        "tanh_mean",
        "the mode action: tanh of the mean, or the likeliest of 100 samples (the author's code)",
        ("tanh_mean", "best_of_samples"),
    )


@dataclasses.dataclass(frozen=True)
class ContrastiveConfig(HeadConfig):
    """The layers are those of the state model q(s | o)."""

    negatives: str = option(
        "window",
        "where wrong candidates come from: window: neighbouring sequences and steps of the batch; "
        "batch: all sequences at the same step; time: all steps of the same sequence",
        ("window", "batch", "time"),
    )
    window_sequences: int = option(
        10, "sequences of the window, the own one included; at most the batch's", minimum=1
    )
    window_steps: int = option(
        30, "steps of the window, the own one included; at most the sequence's", minimum=1
    )
    candidates: str = option(
        "states",
        "what is picked: states, given the observation, as in the author's code; "
        "observations, given the state, as the paper writes it",
        ("states", "observations"),
    )
    scale: float = option(1.0, "weight of the contrastive loss", minimum=0)


@dataclasses.dataclass(frozen=True)
class DreamerConfig:
    rssm: GaussianRSSMConfig = section(GaussianRSSMConfig, "recurrent state-space model")
    encoder: ObservationConfig = section(ObservationConfig, "observations to embeddings")
    decoder: ObservationConfig = section(ObservationConfig, "features to observations")
    reward: HeadConfig = section(HeadConfig, "reward model")
    cont: HeadConfig = section(HeadConfig, "discount model")
    actor: TanhActorConfig = section(TanhActorConfig, "action model")
    critic: HeadConfig = section(HeadConfig, "value model")
    objective: str = option(
        "reconstruction",
        "what the representation learns from, besides rewards and the KL term: reconstruction of "
        "the observations, contrastive estimation, or reward: nothing more",
        ("reconstruction", "contrastive", "reward"),
    )
    contrastive: ContrastiveConfig = section(
        ContrastiveConfig, "the contrastive objective, and its state model q(s | o)"
    )
    diagnostic_decoder: bool = shared.diagnostic_decoder(True)
    value_model: bool = option(
        True, "false: no critic; the actor maximises the sum of imagined rewards up to the horizon"
    )
    policy: str = shared.policy("actor")
    planner: GuidedPlannerConfig = shared.guided_planner()
    dense_activation: str = shared.activation("elu", text="of the dense layers")
    image_activation: str = shared.activation("relu", text="of the convolutions")
    clip_rewards: str = shared.clip_rewards("none")
    discount_model: bool = shared.discount_model(False)
    discount_scale: float = shared.discount_scale(10.0)
    kl_scale: float = shared.kl_scale(1.0)
    free_nats: float = shared.free_nats(3.0)
    free_nats_per: str = shared.free_nats_per("batch")
    imag_horizon: int = shared.imag_horizon(15)
    discount: float = shared.discount(0.99)
    return_lambda: float = shared.return_lambda(0.95)
    exploration_noise: float = shared.exploration_noise(0.3)
    exploration_epsilon: tuple[float, float] = option(
        (0.4, 0.1),
        "share of random actions in training, discrete actions: at first and at last",
        minimum=0,
        maximum=1,
    )
    exploration_decay: int = option(
        200_000, "grad_steps in which that share goes from first to last", minimum=1
    )
    model_optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the world model", learning_rate=6e-4, epsilon=1e-7
    )
    actor_optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the actor", learning_rate=8e-5, epsilon=1e-7
    )
    critic_optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the critic", learning_rate=8e-5, epsilon=1e-7
    )
