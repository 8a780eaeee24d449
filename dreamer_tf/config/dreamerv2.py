"""Options of DreamerV2, see `dreamer_tf.config.schema`.

Defaults are the settings of its author's code for visual control (arXiv:2010.02193).
"""

import dataclasses

from dreamer_tf.config.fields import option, section


@dataclasses.dataclass(frozen=True)
class DiscreteRSSMConfig:
    deter: int = option(200, "width of the deterministic state (D)", minimum=1)
    hidden: int = option(200, "width of the hidden layers", minimum=1)
    latent: str = option(
        "categorical",
        "kind of stochastic state: categorical variables, or one Gaussian",
        ("categorical", "gaussian"),
    )
    stoch: int = option(
        32, "number of categorical variables (V), or width of the Gaussian (S)", minimum=1
    )
    classes: int = option(32, "classes of each categorical variable (K)", minimum=2)
    min_std: float = option(0.1, "Gaussian: smallest standard deviation", above=0)
    std_activation: str = option(
        "sigmoid2",
        "Gaussian: what makes standard deviations positive; sigmoid2 is 2·sigmoid(·/2)",
        ("sigmoid2", "sigmoid", "softplus"),
    )


@dataclasses.dataclass(frozen=True)
class KeyedEncoderConfig:
    image_keys: str = option(
        ".*", "regular expression that an image's whole key must match to be encoded"
    )
    vector_keys: str = option(".*", "the same for vectors; $^ matches none")
    depth: int = option(
        48, "channels of the first image convolution; the others are multiples", minimum=1
    )
    vector_layers: int = option(4, "dense layers for vector observations", minimum=1)
    vector_units: int = option(400, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class KeyedDecoderConfig:
    image_keys: str = option(
        ".*", "regular expression that an image's whole key must match to be predicted"
    )
    vector_keys: str = option(".*", "the same for vectors; $^ matches none")
    depth: int = option(
        48, "channels before the last image layer; the others are multiples", minimum=1
    )
    vector_layers: int = option(4, "dense layers for vector observations", minimum=1)
    vector_units: int = option(400, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class WideHeadConfig:
    layers: int = option(4, "dense layers", minimum=1)
    units: int = option(400, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class TruncatedActorConfig:
    layers: int = option(4, "dense layers", minimum=1)
    units: int = option(400, "width of those layers", minimum=1)
    init_std: float = option(
        0.0, "continuous actions: added to the scale's output, before 2·sigmoid(·/2)"
    )
    min_std: float = option(0.1, "continuous actions: smallest scale", above=0)


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
class ExploreConfig:
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
    layers: int = option(4, "plan2explore: dense layers of each", minimum=1)
    units: int = option(400, "plan2explore: width of those layers", minimum=1)
    lr: float = option(3e-4, "plan2explore: learning rate of the ensemble", above=0)
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


@dataclasses.dataclass(frozen=True)
class DreamerV2Config:
    rssm: DiscreteRSSMConfig = section(DiscreteRSSMConfig, "recurrent state-space model")
    encoder: KeyedEncoderConfig = section(KeyedEncoderConfig, "observations to embeddings")
    decoder: KeyedDecoderConfig = section(KeyedDecoderConfig, "features to observations")
    reward: WideHeadConfig = section(WideHeadConfig, "reward model")
    cont: WideHeadConfig = section(WideHeadConfig, "discount model")
    actor: TruncatedActorConfig = section(TruncatedActorConfig, "action model")
    critic: WideHeadConfig = section(WideHeadConfig, "value model, and its slow copy")
    explore: ExploreConfig = section(ExploreConfig, "what plays the training episodes")
    reward_norm: RewardNormConfig = section(RewardNormConfig, "scaling of imagined rewards")
    activation: str = option("elu", "of all hidden layers", ("elu", "relu", "silu", "tanh"))
    norm: str = option(
        "none",
        "normalisation of all hidden layers; the gates of the GRU always have layer norm",
        ("none", "layer"),
    )
    clip_rewards: str = option(
        "none",
        "what the reward model learns: none: the rewards as they are; sign or tanh: of them, where "
        "their sizes differ by orders of magnitude",
        ("none", "sign", "tanh"),
    )
    decoder_gradient: bool = option(True, "the decoder shapes the representation")
    reward_gradient: bool = option(True, "the reward model shapes the representation")
    discount_gradient: bool = option(True, "the discount model shapes the representation")
    reward_scale: float = option(1.0, "weight of the reward model's loss", minimum=0)
    discount_model: bool = option(
        False, "learn when episodes terminate, and discount imagined rewards by it"
    )
    discount_scale: float = option(1.0, "weight of the discount model's loss", minimum=0)
    kl_scale: float = option(1.0, "weight of the KL term (beta)", minimum=0)
    kl_balance: float = option(
        0.8,
        "share of the KL term that moves the prior (alpha), the rest moves the posterior; "
        "0.5: no balancing, the whole term moves both",
        minimum=0,
        maximum=1,
    )
    kl_forward: bool = option(False, "measure KL(prior ‖ posterior) instead of the reverse")
    free_nats: float = option(1.0, "KL below this many nats is not penalised", minimum=0)
    free_nats_per: str = option(
        "batch",
        "batch: max(mean KL, free nats); step: mean over max(KL, free nats), as always without "
        "balancing",
        ("batch", "step"),
    )
    carry_state: bool = option(
        False,
        "sequences that go on from the batch before start from the state that they ended with",
    )
    imag_horizon: int = option(15, "imagined steps (H)", minimum=2)
    discount: float = option(0.99, "discount factor (gamma)", minimum=0, maximum=1)
    return_lambda: float = option(
        0.95, "mixture of the k-step returns (lambda)", minimum=0, maximum=1
    )
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
    )
    entropy_scale: str = option(
        "1e-4", "weight of the policy's entropy (eta): a number, or a schedule, as above"
    )
    slow_every: int = option(
        100, "grad_steps between copies of the critic to the slow critic", minimum=1
    )
    slow_fraction: float = option(1.0, "how far each copy goes, 1: all the way", above=0, maximum=1)
    exploration_noise: float = option(
        0.0,
        "added to the sampled actions in training: standard deviation for continuous actions, "
        "share of random ones for discrete actions",
        minimum=0,
    )
    eval_state: str = option(
        "sample",
        "latent state in evaluation: a sample of the posterior, or its mode",
        ("sample", "mode"),
    )
    model_lr: float = option(3e-4, "learning rate of the world model", above=0)
    actor_lr: float = option(8e-5, "learning rate of the actor", above=0)
    critic_lr: float = option(8e-5, "learning rate of the critic", above=0)
    adam_epsilon: float = option(1e-5, "Adam's epsilon", above=0)
    weight_decay: float = option(
        1e-6,
        "share by which every weight shrinks in an update, whatever the learning rate",
        minimum=0,
        maximum=1,
    )
    grad_clip: float = option(100.0, "largest global norm of each of the three gradients", above=0)
