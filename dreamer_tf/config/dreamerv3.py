"""Options of DreamerV3, see `dreamer_tf.config.schema`.

Defaults are the authors' current settings (arXiv:2301.04104 and its code) at their default size,
200 million parameters; the presets ``size1m`` to ``size400m`` change the size.
"""

import dataclasses

from dreamer_tf.config import shared
from dreamer_tf.config.fields import option, section
from dreamer_tf.config.shared import (
    ActorConfig,
    GuidedPlannerConfig,
    HeadConfig,
    LaPropConfig,
    RSSMConfig,
)

DEEP = {"layers": 3, "units": 1024}
THIN = {"layers": 1, "units": 1024}


@dataclasses.dataclass(frozen=True)
class BlockRSSMConfig(RSSMConfig):
    """The width of the deterministic state is a multiple of the blocks."""

    classes: int = shared.classes(64, maximum=254)
    blocks: int = option(8, "blocks of the recurrent layers", minimum=1)
    layers: int = option(1, "hidden layers of the recurrent cell", minimum=1)
    prior_layers: int = option(2, "hidden layers of the prior", minimum=1)
    post_layers: int = option(1, "hidden layers of the posterior", minimum=1)
    unimix: float = option(
        0.01, "share of a uniform distribution in each categorical", minimum=0, maximum=1
    )
    absolute: bool = option(
        False, "the posterior sees the embedding alone, without the deterministic state"
    )


@dataclasses.dataclass(frozen=True)
class PyramidConfig:
    depth: int = option(64, "channels of the image networks are multiples of it", minimum=1)
    multiples: tuple[int, ...] = option(
        (2, 3, 4, 4), "channels of each level over depth; as many levels as numbers", minimum=1
    )
    kernel: int = option(5, "height and width of the convolutions' kernels", minimum=1)
    resampling: str = option(
        "pool",
        "how sizes change: pool: the largest of 2x2 pixels, and repeated pixels; "
        "stride: convolutions of stride 2, plain and transposed",
        ("pool", "stride"),
    )
    outer: bool = option(False, "the first level has the size of the image, not half of it")


@dataclasses.dataclass(frozen=True)
class SymlogEncoderConfig(HeadConfig):
    """The layers are those for observations other than images."""

    keys: str = shared.keys()
    symlog: bool = option(True, "observed numbers enter by their symlog, not as they are")


@dataclasses.dataclass(frozen=True)
class SymlogDecoderConfig(HeadConfig):
    """Its units are also half the width of the layer from the state to images."""

    keys: str = shared.keys()
    symlog: bool = option(True, "it predicts the symlog of observed numbers, not these themselves")
    blocks: int = option(8, "blocks of the layer from the deterministic state to images", minimum=1)
    number_loss: str = option(
        "squared",
        "loss of observed numbers, on the scale that is predicted: squared error, or huber, which "
        "grows linearly where the error is large",
        ("squared", "huber"),
    )


@dataclasses.dataclass(frozen=True)
class TwoHotHeadConfig(HeadConfig):
    bins: int = option(255, "points of the distribution", minimum=3)


@dataclasses.dataclass(frozen=True)
class JointActorConfig(ActorConfig):
    max_std: float = option(1.0, "continuous actions: largest standard deviation", above=0)
    unimix: float = option(
        0.0,
        "discrete actions: share of a uniform distribution; the paper's 0.01 has no effect in its "
        "code",
        minimum=0,
        maximum=1,
    )


@dataclasses.dataclass(frozen=True)
class ReturnNormConfig:
    kind: str = option(
        "percentiles",
        "what advantages are divided by: percentiles: the range between two of the returns'; "
        "deviation: their standard deviation; none: nothing",
        ("percentiles", "deviation", "none"),
    )
    rate: float = option(
        0.01, "share of the newest returns in the running average", above=0, maximum=1
    )
    limit: float = option(1.0, "smallest divisor", above=0)
    low: float = option(5.0, "lower percentile", minimum=0, maximum=100)
    high: float = option(95.0, "upper percentile", minimum=0, maximum=100)
    debias: bool = option(False, "bring the first averages, which begin at zero, to full size")


@dataclasses.dataclass(frozen=True)
class LossScalesConfig:
    reconstruction: float = option(1.0, "weight of each observation's loss", minimum=0)
    r2: float = option(0.05, "objective r2: weight of its loss", minimum=0)
    infonce: float = option(1.0, "objective infonce: weight of its loss", minimum=0)
    swav: float = option(
        1.0, "objective dreamerpro: weight of predicting one view from the other", minimum=0
    )
    temp: float = option(
        1.0, "objective dreamerpro: weight of predicting a view from features", minimum=0
    )
    norm: float = option(
        1.0, "objective dreamerpro: weight of projections having length 1", minimum=0
    )
    reward: float = option(1.0, "weight of the reward model's loss", minimum=0)
    cont: float = option(1.0, "weight of the continue model's loss", minimum=0)
    dyn: float = option(1.0, "weight of the KL term that moves the prior", minimum=0)
    rep: float = option(0.1, "weight of the KL term that moves the posterior", minimum=0)
    policy: float = option(1.0, "weight of the actor's loss", minimum=0)
    value: float = option(1.0, "weight of the critic's loss on imagined states", minimum=0)
    replay_value: float = option(0.3, "weight of the critic's loss on replayed states", minimum=0)


@dataclasses.dataclass(frozen=True)
class R2Config:
    redundancy: float = option(5e-4, "weight of pairs of different units (lambda)", minimum=0)


@dataclasses.dataclass(frozen=True)
class DreamerProConfig:
    prototypes: int = option(2500, "prototypes (M)", minimum=2)
    size: int = option(32, "width of the prototypes' space (P)", minimum=1)
    temperature: float = option(0.1, "what cosines are divided by for predictions", above=0)
    sinkhorn_epsilon: float = option(0.05, "what they are divided by for targets", above=0)
    sinkhorn_iterations: int = option(
        3, "rounds in which targets are brought to use all prototypes alike", minimum=1
    )
    warm_up: int = option(
        1, "first rows of each sequence that do not count, as their states know little", minimum=0
    )
    slow_every: int = option(
        1, "grad_steps between the moves of the slow encoder to the encoder", minimum=1
    )
    slow_rate: float = option(0.05, "how far it moves, 1: all the way", above=0, maximum=1)
    frozen: int = option(
        10_000, "the prototypes first move in this update, counted from 1", minimum=0
    )
    max_shift: int = option(3, "pixels that images are shifted by at most", minimum=0)


@dataclasses.dataclass(frozen=True)
class DreamerV3Config:
    rssm: BlockRSSMConfig = section(
        BlockRSSMConfig,
        "recurrent state-space model; deter is a multiple of the blocks",
        deter=8192,
        stoch=32,
        hidden=1024,
    )
    pyramid: PyramidConfig = section(PyramidConfig, "convolutions of encoder and decoder")
    encoder: SymlogEncoderConfig = section(
        SymlogEncoderConfig, "observations to embeddings; layers: of other than images", **DEEP
    )
    decoder: SymlogDecoderConfig = section(
        SymlogDecoderConfig,
        "features to observations; layers: of other than images; from the state to images leads a "
        "layer of twice the units",
        **DEEP,
    )
    reward: TwoHotHeadConfig = section(TwoHotHeadConfig, "reward model", **THIN)
    cont: HeadConfig = section(HeadConfig, "continue model", **THIN)
    actor: JointActorConfig = section(JointActorConfig, "action model", min_std=0.1, **DEEP)
    critic: TwoHotHeadConfig = section(TwoHotHeadConfig, "value model, and its slow copy", **DEEP)
    policy: str = shared.policy("actor")
    planner: GuidedPlannerConfig = shared.guided_planner()
    return_norm: ReturnNormConfig = section(ReturnNormConfig, "size of returns")
    loss_scales: LossScalesConfig = section(LossScalesConfig, "weights of the losses")
    optimizer: LaPropConfig = section(
        LaPropConfig,
        "the one optimiser, LaProp",
        learning_rate=4e-5,
        epsilon=1e-20,
    )
    objective: str = option(
        "reconstruction",
        "what the representation learns from, besides rewards and the KL term: reconstruction of "
        "the observations; r2: features agree with embeddings unit by unit without redundancy "
        "(R2-Dreamer); infonce: features pick their embedding among those of the batch; "
        "dreamerpro: prototypes of shifted images",
        ("reconstruction", "r2", "infonce", "dreamerpro"),
    )
    r2: R2Config = section(R2Config, "the objective r2")
    dreamerpro: DreamerProConfig = section(DreamerProConfig, "the objective dreamerpro")
    diagnostic_decoder: bool = shared.diagnostic_decoder(True)
    harmony: bool = shared.harmony(False)
    free_nats: float = shared.free_nats(1.0)
    reward_gradient: bool = shared.reward_gradient(True)
    replay_value_gradient: bool = option(
        True, "the critic's loss on replayed states shapes the representation"
    )
    imag_horizon: int = shared.imag_horizon(15, minimum=1)
    imag_last: int = option(
        0,
        "imagine from so many last states of each sequence only; 0: from all",
        minimum=0,
    )
    horizon: float = option(
        333.0, "agent_steps after which rewards count 1/e less: gamma = 1 - 1/horizon", above=1
    )
    cont_discount: bool = option(
        True, "the continue model predicts gamma too, and imagined returns take it from there"
    )
    return_lambda: float = shared.return_lambda(0.95)
    replay_lambda: float = option(
        0.95, "the same of the critic's returns along replayed rows", minimum=0, maximum=1
    )
    entropy_scale: float = option(3e-4, "weight of the policy's entropy (eta)", minimum=0)
    slow_rate: float = option(
        0.02, "how far the slow critic moves to the critic, 1: all the way", above=0, maximum=1
    )
    slow_every: int = shared.slow_every(1)
    slow_scale: float = option(
        1.0, "weight of the slow critic's predictions as targets of the critic", minimum=0
    )
    replay_slow_scale: float = option(1.0, "the same on replayed states", minimum=0)
    slow_target: bool = option(
        False, "returns and advantages take values from the slow critic instead of the critic"
    )
