"""Every option with its type, default and meaning.

Defaults are the papers' visual control settings, those of Dreamer (arXiv:1912.01603) where a group
is not that of another agent, unless the text says otherwise; presets in ``configs/`` change them,
each value with its source. Options are grouped by what reads them, so ``--replay.batch_size 16`` is
``Config.replay.batch_size``.

Units: ``env_frames`` count steps of the simulator (agent steps times action repeat),
``agent_steps`` count decisions, ``grad_steps`` count updates.
"""

import dataclasses

from dreamer_tf.config.dreamerv2 import DreamerV2Config
from dreamer_tf.config.dreamerv3 import DreamerV3Config
from dreamer_tf.config.fields import option, section


@dataclasses.dataclass(frozen=True)
class AtariConfig:
    grayscale: bool = option(False, "one channel instead of three")
    all_actions: bool = option(
        False, "all 18 actions of the console; false: those that the game uses"
    )
    sticky_actions: float = option(
        0.25,
        "probability, at each frame, that the last action goes on instead",
        minimum=0,
        maximum=1,
    )
    noops: int = option(
        30, "an episode begins with 1 to so many frames without action; 0: none", minimum=0
    )
    end_on_life_loss: bool = option(
        True, "a lost life ends a training episode; evaluations play whole games"
    )


EXCLUSIVE = (("run.train_updates", "run.train_ratio"),)
"""Options of which only one is in use, the one given last; the others are 0."""


@dataclasses.dataclass(frozen=True)
class EnvConfig:
    observations: str = option("pixels", "what dm_control tasks show", ("pixels", "state", "both"))
    image_size: tuple[int, int] = option((64, 64), "height and width of rendered images", minimum=1)
    camera: int = option(
        -1, "dm_control camera; -1: the task's usual one (quadruped 2, others 0)", minimum=-1
    )
    render: str = option(
        "full",
        "dm_control rendering: full quality, or fast without shadows and reflections "
        "(about a quarter of the time under a software GL; the images differ)",
        ("full", "fast"),
    )
    action_repeat: int = option(
        2,
        "simulator steps per decision; rewards are summed; 0: PlaNet's choice for a dm_control "
        "task (cartpole 8, reacher, cheetah and ball_in_cup 4, all others 2)",
        minimum=0,
    )
    time_limit: int = option(
        1000, "env_frames until an episode is cut off; 0: the task's own limit", minimum=0
    )
    count: int = option(1, "environments that act side by side", minimum=1)
    workers: str = option(
        "process",
        "process: each environment in its own process, without TensorFlow, restarted when it dies; "
        "inline: in the training process (crashes with a software GL that renders)",
        ("process", "inline"),
    )
    atari: AtariConfig = section(AtariConfig, "Atari games")


@dataclasses.dataclass(frozen=True)
class ReplayConfig:
    capacity: int = option(
        5_000_000, "rows kept on disk; the oldest episodes go first; 0: no bound", minimum=0
    )
    batch_size: int = option(50, "sequences in a batch (B)", minimum=1)
    batch_length: int = option(50, "rows in a sequence (T)", minimum=2)
    sampler: str = option(
        "windows",
        "windows: all windows inside episodes are equally likely; starts: all rows are equally "
        "likely to begin a sequence, which goes on with another episode where its own ends (as in "
        "DreamerV3); episode_ends: all episodes are, and their last windows are preferred (as in "
        "DreamerV2)",
        ("windows", "starts", "episode_ends"),
    )
    online: float = option(
        0.0,
        "largest share of a batch that may be sequences never trained on, oldest first "
        "(DreamerV3: 1); 0: none",
        minimum=0,
        maximum=1,
    )
    ongoing: bool = option(False, "sample also from episodes that are still being played")
    consecutive: int = option(
        1,
        "batches that a sequence runs through, the agent's memory carried from one to the next; "
        "1: every batch has new sequences",
        minimum=1,
    )
    context: bool = option(
        False,
        "keep the agent's memory with the rows, refresh it by training, and start sequences from "
        "it, not from nothing (DreamerV3)",
    )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    prefill: int = option(5000, "env_frames of random actions before learning starts", minimum=0)
    pretrain: int = option(0, "grad_steps at once when learning starts", minimum=0)
    train_every: int = option(1000, "env_frames between blocks of updates", minimum=1)
    train_updates: float = option(
        100.0,
        "grad_steps per block; fractions accumulate; 0: none, or as run.train_ratio says",
        minimum=0,
    )
    train_ratio: float = option(
        0.0,
        "rows trained on per agent step, instead of run.train_updates; blocks are as many updates "
        "as that makes; 0: not used",
        minimum=0,
    )
    eval_every: int = option(10_000, "env_frames between evaluations; 0: never", minimum=0)
    eval_episodes: int = option(
        1, "episodes per evaluation, played with the mode action", minimum=1
    )
    eval_count: int = option(1, "evaluation environments side by side", minimum=1)
    video_every: int = option(
        50_000, "env_frames between videos (at an evaluation); 0: never", minimum=0
    )
    log_every: int = option(1000, "env_frames between lines of losses and speeds", minimum=1)
    checkpoint_every: float = option(
        300.0, "seconds between checkpoints; 0: only at the end", minimum=0
    )
    checkpoint_keep: int = option(3, "checkpoints kept", minimum=1)
    nonfinite_limit: int = option(
        20, "updates in a row that may be skipped for a non-finite loss or gradient", minimum=1
    )


@dataclasses.dataclass(frozen=True)
class RSSMConfig:
    deter: int = option(200, "width of the deterministic state (D)", minimum=1)
    stoch: int = option(30, "width of the stochastic state (S)", minimum=1)
    hidden: int = option(200, "width of the hidden layers", minimum=1)
    min_std: float = option(0.1, "smallest standard deviation of the stochastic state", above=0)


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    depth: int = option(
        32, "channels of the first image convolution; the others are multiples", minimum=1
    )
    vector_layers: int = option(3, "dense layers for vector observations", minimum=1)
    vector_units: int = option(300, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    depth: int = option(
        32, "channels before the last image layer; the others are multiples", minimum=1
    )
    vector_layers: int = option(3, "dense layers for vector observations", minimum=1)
    vector_units: int = option(300, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    layers: int = option(3, "dense layers", minimum=1)
    units: int = option(300, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class ActorConfig:
    layers: int = option(3, "dense layers", minimum=1)
    units: int = option(300, "width of those layers", minimum=1)
    init_std: float = option(5.0, "standard deviation at a zero output, before the tanh", above=0)
    min_std: float = option(1e-4, "smallest standard deviation, before the tanh", above=0)
    mean_scale: float = option(5.0, "bound of the mean, before the tanh", above=0)
    eval_mode: str = option(
        "tanh_mean",
        "the mode action: tanh of the mean, or the likeliest of 100 samples (the author's code)",
        ("tanh_mean", "best_of_samples"),
    )


@dataclasses.dataclass(frozen=True)
class ContrastiveConfig:
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
    layers: int = option(3, "dense layers of the state model q(s | o)", minimum=1)
    units: int = option(300, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    horizon: int = option(12, "planned steps (H)", minimum=1)
    iterations: int = option(10, "how often the belief over actions is fitted", minimum=1)
    candidates: int = option(
        1000, "action sequences drawn in an iteration, for each environment", minimum=1
    )
    elites: int = option(
        100,
        "of these, the sequences of highest return that the belief is fitted to; "
        "1, with one iteration: random shooting",
        minimum=1,
    )


@dataclasses.dataclass(frozen=True)
class DreamerConfig:
    rssm: RSSMConfig = section(RSSMConfig, "recurrent state-space model")
    encoder: EncoderConfig = section(EncoderConfig, "observations to embeddings")
    decoder: DecoderConfig = section(DecoderConfig, "features to observations")
    reward: HeadConfig = section(HeadConfig, "reward model")
    cont: HeadConfig = section(HeadConfig, "discount model")
    actor: ActorConfig = section(ActorConfig, "action model")
    critic: HeadConfig = section(HeadConfig, "value model")
    objective: str = option(
        "reconstruction",
        "what the representation learns from, besides rewards and the KL term: reconstruction of "
        "the observations, contrastive estimation, or reward: nothing more",
        ("reconstruction", "contrastive", "reward"),
    )
    contrastive: ContrastiveConfig = section(ContrastiveConfig, "the contrastive objective")
    diagnostic_decoder: bool = option(
        True,
        "without reconstruction: train a decoder on the finished features, for open-loop videos; "
        "changes nothing else; false saves its time",
    )
    value_model: bool = option(
        True, "false: no critic; the actor maximises the sum of imagined rewards up to the horizon"
    )
    policy: str = option(
        "actor",
        "what acts: the actor, or, for continuous actions, PlaNet's planner, which searches in the "
        "model at every step for the return that the actor is trained for, value included",
        ("actor", "planner"),
    )
    planner: PlannerConfig = section(PlannerConfig, "the search, where policy is planner")
    clip_rewards: str = option(
        "none",
        "what the reward model learns: none: the rewards as they are; tanh: their tanh, where "
        "their sizes differ by orders of magnitude",
        ("none", "tanh"),
    )
    discount_model: bool = option(
        False, "learn when episodes terminate, and discount imagined rewards by it"
    )
    discount_scale: float = option(10.0, "weight of the discount model's loss", minimum=0)
    kl_scale: float = option(1.0, "weight of the KL term (beta)", minimum=0)
    free_nats: float = option(3.0, "KL below this many nats is not penalised", minimum=0)
    free_nats_per: str = option(
        "batch",
        "batch: max(mean KL, free nats), as in the author's TF2 code; "
        "step: mean over max(KL, free nats), as in PlaNet and the first code",
        ("batch", "step"),
    )
    imag_horizon: int = option(15, "imagined steps (H)", minimum=2)
    discount: float = option(0.99, "discount factor (gamma)", minimum=0, maximum=1)
    return_lambda: float = option(
        0.95, "mixture of the k-step returns (lambda)", minimum=0, maximum=1
    )
    exploration_noise: float = option(
        0.3, "standard deviation added to continuous actions in training", minimum=0
    )
    exploration_epsilon: tuple[float, float] = option(
        (0.4, 0.1),
        "share of random actions in training, discrete actions: at first and at last",
        minimum=0,
        maximum=1,
    )
    exploration_decay: int = option(
        200_000, "grad_steps in which that share goes from first to last", minimum=1
    )
    model_lr: float = option(6e-4, "learning rate of the world model", above=0)
    actor_lr: float = option(8e-5, "learning rate of the actor", above=0)
    critic_lr: float = option(8e-5, "learning rate of the critic", above=0)
    adam_epsilon: float = option(1e-7, "Adam's epsilon", above=0)
    grad_clip: float = option(100.0, "largest global norm of each of the three gradients", above=0)


@dataclasses.dataclass(frozen=True)
class PlaNetConfig:
    transition: str = option(
        "rssm",
        "transition model: with a deterministic and a stochastic state (rssm), or, as in the "
        "paper's comparison, with only the first (rnn) or only the second (ssm)",
        ("rssm", "rnn", "ssm"),
    )
    rssm: RSSMConfig = section(RSSMConfig, "transition model; ssm has no deterministic state")
    encoder: EncoderConfig = section(EncoderConfig, "observations to embeddings")
    decoder: DecoderConfig = section(DecoderConfig, "features to observations")
    reward: HeadConfig = section(HeadConfig, "reward model")
    planner: PlannerConfig = section(PlannerConfig, "the search for actions")
    activation: str = option(
        "relu", "of the dense layers; convolutions always have relu", ("relu", "elu")
    )
    image_bits: int = option(
        5,
        "bits of a colour that the model sees, with uniform noise as wide as what is left out",
        minimum=1,
        maximum=8,
    )
    reward_scale: float = option(10.0, "weight of the reward model's loss", minimum=0)
    kl_scale: float = option(1.0, "weight of the KL term (beta)", minimum=0)
    free_nats: float = option(
        3.0, "KL below this many nats is not penalised, at each time step", minimum=0
    )
    overshooting_scale: float = option(
        0.0, "weight of latent overshooting: the KL to predictions of several steps", minimum=0
    )
    overshooting_distance: int = option(
        50,
        "longest predictions of latent overshooting, in steps; a sequence of T rows has T - 1",
        minimum=2,
    )
    exploration_noise: float = option(
        0.3, "standard deviation added to actions in training", minimum=0
    )
    learning_rate: float = option(1e-3, "learning rate", above=0)
    adam_epsilon: float = option(1e-4, "Adam's epsilon", above=0)
    grad_clip: float = option(1000.0, "largest global norm of the gradient", above=0)


@dataclasses.dataclass(frozen=True)
class Config:
    task: str = option(
        "dmc_walker_walk",
        "dmc_<domain>_<task>, atari_<game>, crafter_reward, crafter_noreward, gymnasium_<id> or "
        "gym_<id>",
    )
    logdir: str = option("", "run folder; the same folder continues the run; empty: under runs/")
    agent: str = option(
        "dreamer", "which agent learns", ("dreamer", "dreamerv2", "dreamerv3", "planet", "random")
    )
    seed: int = option(
        0, "reaches Python, NumPy, TensorFlow, replay and every environment", minimum=0
    )
    steps: int = option(5_000_000, "env_frames to collect in all", minimum=1)
    precision: str = option(
        "float32",
        "arithmetic of the networks; losses, distributions and variables stay float32",
        ("float32", "mixed_bfloat16"),
    )
    jit: bool = option(False, "compile the update with XLA: a long start, and other random draws")
    env: EnvConfig = section(EnvConfig, "environments")
    replay: ReplayConfig = section(ReplayConfig, "experience on disk")
    run: RunConfig = section(RunConfig, "the training loop")
    dreamer: DreamerConfig = section(DreamerConfig, "the Dreamer agent")
    dreamerv2: DreamerV2Config = section(DreamerV2Config, "the DreamerV2 agent (arXiv:2010.02193)")
    dreamerv3: DreamerV3Config = section(DreamerV3Config, "the DreamerV3 agent (arXiv:2301.04104)")
    planet: PlaNetConfig = section(PlaNetConfig, "the PlaNet agent (arXiv:1811.04551)")
