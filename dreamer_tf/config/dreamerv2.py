"""Options of DreamerV2, see `dreamer_tf.config.schema`.

Defaults are the settings of its author's code for visual control (arXiv:2010.02193).
"""

import dataclasses

from dreamer_tf.config import shared
from dreamer_tf.config.fields import option, section
from dreamer_tf.config.shared import (
    ActorConfig,
    GuidedPlannerConfig,
    HeadConfig,
    ObservationConfig,
    OptimizerConfig,
    RSSMConfig,
)

DENSE = {"layers": 4, "units": 400}
OBSERVATIONS = {"depth": 48, "vector_layers": 4, "vector_units": 400}


@dataclasses.dataclass(frozen=True)
class DiscreteRSSMConfig(RSSMConfig):
    latent: str = option(
        "categorical",
        "kind of stochastic state: categorical variables, or one Gaussian",
        ("categorical", "gaussian"),
    )
    classes: int = shared.classes(32)
    min_std: float = shared.latent_min_std(0.1)
    std_activation: str = option(
        "sigmoid2",
        "Gaussian: what makes standard deviations positive; sigmoid2 is 2·sigmoid(·/2)",
        ("sigmoid2", "sigmoid", "softplus"),
    )


@dataclasses.dataclass(frozen=True)
class KeyedObservationConfig(ObservationConfig):
    image_keys: str = option(
        ".*", "regular expression that an image's whole key must match; others are left out"
    )
    vector_keys: str = option(".*", "the same for vectors; $^ matches none")


@dataclasses.dataclass(frozen=True)
class TruncatedActorConfig(ActorConfig):
    """Standard deviations are those of the Normal before it is truncated."""

    init_std: float = option(
        0.0, "continuous actions: added to the scale's output, before 2·sigmoid(·/2)"
    )


@dataclasses.dataclass(frozen=True)
class RewardNormConfig:
    momentum: float = option(
        1.0,
        "share of the running magnitude that an update keeps; 1: it stays at 1",
        minimum=0,
        maximum=1,
    )
    scale: float = option(1.0, "magnitude that imagined rewards are brought to", above=0)
    epsilon: float = option(1e-8, "added to the magnitude that they are divided by", minimum=0)


@dataclasses.dataclass(frozen=True)
class ExploreConfig(HeadConfig):
    """The layers are those of each network in the ensemble of Plan2Explore."""

    behavior: str = option(
        "task",
        "what plays the training episodes: task: the behaviour that learns the task; plan2explore: "
        "one that looks for what the world model cannot predict; random: uniform actions",
        ("task", "plan2explore", "random"),
    )
    until: int = option(
        0,
        "grad_steps after which the task's behaviour plays the training episodes, too; 0: never",
        minimum=0,
    )
    models: int = option(10, "plan2explore: networks in the ensemble", minimum=2)
    target: str = option(
        "stoch",
        "plan2explore: what of the next latent state the ensemble predicts",
        ("stoch", "deter", "feat"),
    )
    intrinsic_scale: float = option(
        1.0, "plan2explore: weight of the disagreement in the reward", minimum=0
    )
    extrinsic_scale: float = option(
        0.0, "plan2explore: weight of the task's predicted reward beside it", minimum=0
    )
    optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the ensemble of Plan2Explore", weight_decay=1e-6
    )


@dataclasses.dataclass(frozen=True)
class DreamerV2Config:
    rssm: DiscreteRSSMConfig = section(DiscreteRSSMConfig, "recurrent state-space model", stoch=32)
    encoder: KeyedObservationConfig = section(
        KeyedObservationConfig, "observations to embeddings", **OBSERVATIONS
    )
    decoder: KeyedObservationConfig = section(
        KeyedObservationConfig, "features to observations", **OBSERVATIONS
    )
    reward: HeadConfig = section(HeadConfig, "reward model", **DENSE)
    cont: HeadConfig = section(HeadConfig, "discount model", **DENSE)
    actor: TruncatedActorConfig = section(
        TruncatedActorConfig, "action model", min_std=0.1, **DENSE
    )
    critic: HeadConfig = section(HeadConfig, "value model, and its slow copy", **DENSE)
    explore: ExploreConfig = section(ExploreConfig, "what plays the training episodes", **DENSE)
    policy: str = shared.policy("actor")
    planner: GuidedPlannerConfig = shared.guided_planner()
    reward_norm: RewardNormConfig = section(RewardNormConfig, "scaling of imagined rewards")
    activation: str = shared.activation("elu")
    norm: str = option(
        "none",
        "normalisation of all hidden layers; the gates of the GRU always have layer norm",
        ("none", "layer"),
    )
    clip_rewards: str = shared.clip_rewards("none")
    decoder_gradient: bool = option(True, "the decoder shapes the representation")
    reward_gradient: bool = shared.reward_gradient(True)
    discount_gradient: bool = option(True, "the discount model shapes the representation")
    observation_scales: str = option(
        "",
        "weights of single observations' losses by their key, such as position=0.5; others have 1",
        mapping=True,
    )
    reward_scale: float = shared.reward_scale(1.0)
    discount_model: bool = shared.discount_model(False)
    discount_scale: float = shared.discount_scale(1.0)
    kl_scale: float = shared.kl_scale(1.0)
    kl_balance: float = option(
        0.8,
        "share of the KL term that moves the prior (alpha), the rest moves the posterior; "
        "0.5: no balancing, the whole term moves both",
        minimum=0,
        maximum=1,
    )
    kl_forward: bool = option(False, "measure KL(prior ‖ posterior) instead of the reverse")
    free_nats: float = shared.free_nats(1.0)
    free_nats_per: str = shared.free_nats_per(
        "batch",
        text="batch: max(mean KL, free nats); step: mean over max(KL, free nats), as always "
        "without balancing",
    )
    harmony: bool = shared.harmony(False)
    carry_state: bool = option(
        False,
        "sequences that go on from the batch before start from the state that they ended with",
    )
    imag_horizon: int = shared.imag_horizon(15)
    discount: float = shared.discount(0.99)
    return_lambda: float = shared.return_lambda(0.95)
    actor_gradient: str = option(
        "auto",
        "how the actor learns: through the dynamics, by reinforce, or both; "
        "auto: reinforce for discrete actions, dynamics for continuous ones",
        ("auto", "dynamics", "reinforce", "both"),
    )
    actor_gradient_mix: str = option(
        "0.1",
        "both: share of the gradient through the dynamics (rho): a number, or a schedule over "
        "grad_steps: linear(first,last,steps), warmup(steps,value), exp(first,last,halflife)",
        minimum=0,
        maximum=1,
    )
    entropy_scale: str = option(
        "1e-4", "weight of the policy's entropy (eta): a number, or a schedule, as above", minimum=0
    )
    slow_every: int = shared.slow_every(100)
    slow_fraction: float = option(1.0, "how far each move goes, 1: all the way", above=0, maximum=1)
    exploration_noise: float = shared.exploration_noise(
        0.0,
        text="added to the sampled actions in training: standard deviation for continuous actions, "
        "share of random ones for discrete actions",
    )
    eval_state: str = option(
        "sample",
        "latent state in evaluation: a sample of the posterior, or its mode",
        ("sample", "mode"),
    )
    model_optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the world model", weight_decay=1e-6
    )
    actor_optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the actor", learning_rate=8e-5, weight_decay=1e-6
    )
    critic_optimizer: OptimizerConfig = section(
        OptimizerConfig, "Adam for the critic", learning_rate=8e-5, weight_decay=1e-6
    )
