"""Every option with its type, default and meaning.

What belongs to an agent stands in a file of its own beside this one. Defaults are the papers'
visual control settings, those of Dreamer (arXiv:1912.01603) for environments, replay and training,
unless the text says otherwise; presets in ``configs/`` change them, each value with its source.
Options are grouped by what reads them: ``--replay.batch_size 16`` is `Config.replay.batch_size`.

Units: ``env_frames`` count steps of the simulator (agent steps times action repeat),
``agent_steps`` count decisions, ``grad_steps`` count updates.
"""

import dataclasses

from dreamer_tf.common.own import AGENTS_GROUP
from dreamer_tf.config.dreamer import DreamerConfig
from dreamer_tf.config.dreamerv2 import DreamerV2Config
from dreamer_tf.config.dreamerv3 import DreamerV3Config
from dreamer_tf.config.fields import option, section
from dreamer_tf.config.planet import PlaNetConfig


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


@dataclasses.dataclass(frozen=True)
class RayConfig:
    address: str = option(
        "",
        "of a Ray cluster, such as host:6379; auto: the one that this machine belongs to; empty: "
        "this machine alone",
    )
    cpus: float = option(
        1.0, "cores that a node sets aside for each training environment", minimum=0
    )
    gpus: float = option(0.0, "GPUs likewise, for simulators that use them", minimum=0)


EXCLUSIVE = (("run.train_updates", "run.train_ratio"),)
"""Options of which only one is in use, the one given last; the others are 0."""

FOR_ONE_START = ("run.new_task", "run.delete_episodes", "run.start_anew")
"""What is allowed to one start, and is not among the options that a run keeps."""


ACTING = r"\w+\.(policy|planner\.\w+|eval_state|actor\.eval_mode)"
"""Options, as a regular expression, that say how an agent acts and nothing of its weights."""


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
    background: str = option(
        "own",
        "what stands behind the bodies of dm_control tasks: own: their sky and floor; moving: "
        "waves of colour that drift, other ones in each episode, so that most pixels are of no use",
        ("own", "moving"),
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
        "inline: in the training process (crashes with a software GL that renders); ray: each a "
        "Ray actor, on whichever node has room",
        ("process", "inline", "ray"),
    )
    step_timeout: float = option(
        600.0,
        "seconds after which an environment that does not answer to a step or reset counts as "
        "dead, as after a crash; 0: never; with env.workers inline only while it waits or runs "
        "Python",
        minimum=0,
    )
    resume_steps: int = option(
        100_000,
        "agent steps of an unfinished episode that are played again, from its seed and its stored "
        "actions, when a run continues; longer ones are cut off; 0: all are",
        minimum=0,
    )
    keys: str = option(
        ".*",
        "regular expression that the whole key of an observation must match, such as image|speed; "
        "others are left out",
    )
    kwargs: str = option(
        "",
        "constructor arguments for gymnasium_<id>, gym_<id> and environments of your own: "
        "name=value ..., or one mapping as JSON or YAML",
        mapping=True,
    )
    ray: RayConfig = section(RayConfig, "environments as Ray actors (env.workers ray)")
    atari: AtariConfig = section(AtariConfig, "Atari games")


@dataclasses.dataclass(frozen=True)
class ReplayConfig:
    capacity: int = option(
        5_000_000,
        "rows kept on disk; the oldest episodes go first; 0: no bound; what is being played does "
        "not count: set env.time_limit where it may not end",
        minimum=0,
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
    carry: bool = option(
        False,
        "keep the agent's memory with the rows, refresh it by training, and start sequences from "
        "it, not from nothing (DreamerV3)",
    )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    from_run: str = option(
        "",
        "run folder whose agent's weights a new run begins with, each component where it fits; "
        "empty: none",
    )
    devices: int = option(
        1,
        "devices of a host that share every update, and with it replay.batch_size, the global "
        "batch: GPUs; on a machine without, logical CPU devices, which is for tests",
        minimum=1,
    )
    hosts: str = option(
        "tf_config",
        "where it says which processes learn together: the variable TF_CONFIG (not set: this one "
        "alone), or slurm, the step of a Slurm job",
        ("tf_config", "slurm"),
    )
    overlap: bool = option(
        False,
        "act while learning, with the weights of the last update that is whole: for environments "
        "that cannot wait; such a run is not repeatable",
    )
    overlap_lag: int = option(
        0,
        "with run.overlap: acting waits while more grad_steps than that are due and not made; 0: "
        "as many as a block has, so that one is made while the frames of the next are played",
        minimum=0,
    )
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
    eval_limit: int = option(
        40_000,
        "env_frames after which an evaluation waits no longer for the end of an episode, unless "
        "env.time_limit is longer; the episode counts as it is, and that is said; 0: waits for "
        "good",
        minimum=0,
    )
    eval_count: int = option(1, "evaluation environments side by side", minimum=1)
    video_every: int = option(
        50_000,
        "env_frames between videos, at an evaluation; the last one is always filmed; 0: none",
        minimum=0,
    )
    loggers: tuple[str, ...] = option(
        ("tensorboard",),
        "where numbers and videos go beside the run's own files, one or more; wandb and mlflow are "
        "extras; none: nowhere",
        ("tensorboard", "wandb", "mlflow", "none"),
    )
    log_every: int = option(1000, "env_frames between lines of losses and speeds", minimum=1)
    checkpoint_every: float = option(
        300.0, "seconds between checkpoints; 0: only at the end", minimum=0
    )
    checkpoint_keep: int = option(3, "checkpoints kept", minimum=1)
    checkpoint_best: bool = option(
        True,
        "keep, beside these, the checkpoint with the highest mean return in an evaluation, written "
        "at that evaluation",
    )
    disk_patience: float = option(
        600.0,
        "seconds to wait and try again when an episode or a checkpoint cannot be stored, or a "
        "batch be read, a full disk for example; then the run ends",
        minimum=0,
    )
    new_task: bool = option(
        False,
        "for one start: go on with another task in the folder of a run; its curves are kept apart",
    )
    delete_episodes: bool = option(
        False, "for one start: a smaller replay.capacity may delete many episodes"
    )
    start_anew: bool = option(
        False,
        "for one start: go on with fresh weights, and the replay, where all checkpoints are "
        "damaged",
    )
    nonfinite_limit: int = option(
        20, "updates in a row that may be skipped for a non-finite loss or gradient", minimum=1
    )


@dataclasses.dataclass(frozen=True)
class Config:
    task: str = option(
        "dmc_walker_walk",
        "what to learn, by name: dmc_walker_walk, atari_pong, gymnasium_CartPole-v1, module:name "
        "for your own (also --env module:name); an unknown name is answered with the kinds that "
        "there are",
    )
    logdir: str = option("", "run folder; the same folder continues the run; empty: under runs/")
    agent: str = option(
        "dreamer",
        "which agent learns; module:name is a class of your own",
        ("dreamer", "dreamerv2", "dreamerv3", "planet", "random"),
        group=AGENTS_GROUP,
    )
    seed: int = option(
        0, "reaches Python, NumPy, TensorFlow, replay and every environment", minimum=0
    )
    steps: int = option(5_000_000, "env_frames to collect in all", minimum=1)
    precision: str = option(
        "float32",
        "arithmetic of the networks; losses, distributions and variables stay float32; auto: "
        "whichever a short measurement at the first start finds quicker, which the run then keeps",
        ("float32", "mixed_bfloat16", "auto"),
    )
    jit: bool = option(False, "compile the update with XLA: a long start, and other random draws")
    op_threads: int = option(
        0,
        "threads that share one operation on the CPU, 0: one a core; with 1 operations run side by "
        "side instead, which suits small networks",
        minimum=0,
    )
    env: EnvConfig = section(EnvConfig, "environments")
    replay: ReplayConfig = section(ReplayConfig, "experience on disk")
    run: RunConfig = section(RunConfig, "the training loop")
    dreamer: DreamerConfig = section(DreamerConfig, "the Dreamer agent")
    dreamerv2: DreamerV2Config = section(DreamerV2Config, "the DreamerV2 agent (arXiv:2010.02193)")
    dreamerv3: DreamerV3Config = section(DreamerV3Config, "the DreamerV3 agent (arXiv:2301.04104)")
    planet: PlaNetConfig = section(PlaNetConfig, "the PlaNet agent (arXiv:1811.04551)")
