"""Puts a run together, from a config to a finished trainer: environments, agent, replay, seeds.

The environments' processes are started before TensorFlow is imported, which takes longer than
they do; modules that import TensorFlow are therefore imported inside functions here.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import logging
import pathlib
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamer_tf import config as configs
from dreamer_tf import envs, specs
from dreamer_tf.common import counted, rounded
from dreamer_tf.replay import (
    Consecutive,
    EpisodeEnds,
    FreshFirst,
    Replay,
    UniformStarts,
    UniformWindows,
)
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.machine import keep_freed_memory
from dreamer_tf.runs.terminal import open_terminal
from dreamer_tf.runs.writers import Writer
from dreamer_tf.specs import Space
from dreamer_tf.training.hosts import find_hosts, follow, start_team
from dreamer_tf.training.pace import Counters, updates_per_block
from dreamer_tf.training.stopping import StopSignals

if TYPE_CHECKING:
    from dreamer_tf.agents.base import Agent

OWN_ENV_PRESET = "dreamerv3_gym"
"""What trains in an environment of one's own where nobody says what, in the size that suits."""

_SAMPLERS = {"windows": UniformWindows, "starts": UniformStarts, "episode_ends": EpisodeEnds}
_LOGGER = logging.getLogger(__name__)


def run(
    resolved: configs.Resolved,
    env: Any | Callable[[], Any] | None = None,
    *,
    choose_size: bool = False,
    writers: Sequence[Callable[[pathlib.Path], Writer]] = (),
    at_end: Sequence[Callable[[pathlib.Path, Callable[[str], None]], Any]] = (),
) -> "Agent":
    """Trains in the folder ``logdir``, from the beginning or from where it stopped.

    Args:
      resolved: `config.Resolved`; without ``logdir``, a new folder under ``runs/``.
      env: A user's environment or constructor; None: the config's task.
      choose_size: Whether to add the preset that suits the machine, see `suitable_size`.
      writers: Further places for metrics and videos: functions of the run folder that return a
        `runs.writers.Writer`. If one fails, that is told, and the run goes on without it.
      at_end: Functions of the run folder and of a function that tells a line of text. They are
        called in turn when the run has ended and is saved, so that no failure may end it.

    Returns:
      The trained agent.

    Raises:
      KeyboardInterrupt: After Ctrl-C, when everything is saved.
      SystemExit: After SIGTERM, when everything is saved; with code 143.
    """
    hosts = find_hosts(resolved.config)
    if hosts and not hosts.is_chief:
        return follow(resolved.config, hosts, make_agent)
    folder = pathlib.Path(resolved.config.logdir or run_folder.default_folder(resolved.config))
    keep_freed_memory()
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_folder.begun_or_removed(folder))
        stack.enter_context(run_folder.RunFolderLock(folder))
        resolved, changes = run_folder.continue_config(resolved, folder)
        config = dataclasses.replace(resolved.config, logdir=str(folder))
        terminal = open_terminal(config.steps)
        stop = stack.enter_context(StopSignals(terminal.message))
        terminal.message(f"run folder {folder}")
        for key, old, new in changes:
            terminal.message(f"changed since the last start: {key} from {old} to {new}")
        told: set[str] = set()
        vector_env = stack.enter_context(start_envs(config, env, told))
        resolved = configs.Resolved(config, resolved.origins)
        if choose_size:
            resolved = _choose_size(resolved, vector_env.obs_space, terminal)
        evaluator = _make_evaluator(config, env, told)
        stack.callback(evaluator.close)
        team = start_team(resolved.config, hosts, stack, terminal.message)
        trainer = _assemble(
            resolved, folder, evaluator, vector_env, terminal, stop, stack, writers, team
        )
        stack.enter_context(terminal)
        trainer.run()
        terminal.message(f"saved in {folder}")
    for function in at_end:
        _call_at_end(function, folder, terminal.message)
    if stop.requested == signal.SIGINT:
        raise KeyboardInterrupt
    if stop.requested == signal.SIGTERM:
        raise SystemExit(128 + signal.SIGTERM)
    return trainer.agent


def _call_at_end(function, folder, tell):
    try:
        function(folder, tell)
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        _LOGGER.debug("%s failed", name, exc_info=True)
        tell(f"{name} failed ({type(error).__name__}: {error}); the run is whole")


def make_vector_env(
    config: configs.Config,
    env: Any | Callable[[], Any] | None,
    *,
    count: int,
    seed: int,
    workers: str,
    evaluation: bool = False,
    told: set[str] | None = None,
) -> envs.VectorEnv:
    """Starts environments and waits until they are ready.

    Args:
      config: `Config`.
      env: A user's environment or constructor; None: the config's task.
      count: How many.
      seed: Decides their episodes.
      workers: ``process``, ``inline`` or ``ray``.
      evaluation: Whether to evaluate in them; a task may then play longer episodes.
      told: Set of the environments' notices that need not be told again.

    Returns:
      `VectorEnv`.
    """
    options = config.env
    common: dict[str, Any] = {
        "action_repeat": options.action_repeat,
        "time_limit": options.time_limit,
        "image_size": options.image_size,
        "keys": options.keys,
        "kwargs": configs.from_text(options.kwargs),
    }
    if env is None:
        constructor = functools.partial(
            envs.make,
            config.task,
            observations=options.observations,
            camera=options.camera,
            render=options.render,
            atari=dataclasses.asdict(options.atari),
            evaluation=evaluation,
            **common,
        )
    else:
        if workers == "inline" and not callable(env):
            raise envs.EnvError(
                "env.workers is inline, and an environment object cannot be in two places at "
                "once: pass a function that makes it, such as lambda: MyEnv()"
            )
        constructor = functools.partial(envs.from_user, env, **common)
    start = envs.RayNodes(**dataclasses.asdict(options.ray)) if workers == "ray" else workers
    return envs.VectorEnv([constructor] * count, seed=seed, workers=start, told=told)


def evaluation_limit(config: configs.Config) -> int:
    """env_frames after which an evaluation waits no longer for the end of an episode; 0: never."""
    limit = config.run.eval_limit
    return max(limit, config.env.time_limit) if limit else 0


def start_envs(
    config: configs.Config,
    env: Any | Callable[[], Any] | None = None,
    told: set[str] | None = None,
) -> envs.VectorEnv:
    """Starts the training environments and imports TensorFlow, side by side if that is safe.

    Args:
      config: `Config`.
      env: A user's environment or constructor; None: the config's task.
      told: Set of the environments' notices that need not be told again.

    Returns:
      `VectorEnv`; the libraries are seeded.
    """
    make = functools.partial(
        make_vector_env,
        config,
        env,
        count=config.env.count,
        seed=derive_seed(config.seed, "envs"),
        workers=config.env.workers,
        told=told,
    )
    if config.env.workers == "inline":
        seed_libraries(config.seed)
        return make()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(make)
        seed_libraries(config.seed)
        return future.result()


def _assemble(resolved, folder, evaluator, vector_env, terminal, stop, stack, writers, team):
    """Builds everything else and continues from the newest checkpoint, if there is one."""
    from dreamer_tf.runs.checkpoint import Checkpoints
    from dreamer_tf.runs.log import RunLog
    from dreamer_tf.training.learner import Carry, Stopwatch
    from dreamer_tf.training.loop import Parts, Trainer

    config = resolved.config
    spaces = vector_env.obs_space, vector_env.act_space
    agent = make_agent(config, *spaces)
    agent.native_act_space = vector_env.native_act_space
    replay = make_replay(config, folder / "replay", agent)
    seed = derive_seed(config.seed, "seed episodes")
    random_agent = make_agent(dataclasses.replace(config, agent="random", seed=seed), *spaces)
    carry = Carry(agent, config.replay.batch_size)
    checkpoints = Checkpoints(
        folder / "checkpoints",
        config.run.checkpoint_keep,
        agent=agent,
        explorer=random_agent,  # Its name in the checkpoints of all versions, which go on.
        carry=carry,
    )
    state = checkpoints.restore()
    # Only now, when everything fits together, so that a wrong option does not stay in the folder.
    configs.save(config, folder, resolved.origins)
    run_folder.save_spaces(folder, *spaces, vector_env.native_act_space)
    counters = Counters(**state["counters"]) if state else Counters()
    ahead = counters.catch_up(replay.agent_steps, vector_env.frames_per_step)
    run_folder.add_start(folder, counters.env_frames)
    _introduce(terminal, config, agent, counters, vector_env.frames_per_step)
    log = RunLog(folder, config, terminal, counters.env_frames, writers)
    stack.callback(log.close)
    stopwatch = Stopwatch()
    train_step = team.lead(agent, config, make_agent) if team else agent.train_step
    learner = _make_learner(config, folder, train_step, replay, carry, counters, stopwatch)
    stack.callback(learner.close)
    parts = Parts(
        config=config,
        agent=agent,
        random_agent=random_agent,
        envs=vector_env,
        evaluator=evaluator,
        replay=replay,
        learner=learner,
        checkpoints=checkpoints,
        log=log,
        stop=stop,
        counters=counters,
        stopwatch=stopwatch,
    )
    trainer = Trainer(parts)
    trainer.restore(state, ahead)
    return trainer


def _make_learner(config, folder, train_step, replay, carry, counters, stopwatch):
    from dreamer_tf.training.guard import NonFiniteGuard
    from dreamer_tf.training.learner import Learner

    return Learner(
        train_step,
        replay,
        carry=carry,
        batch_size=config.replay.batch_size,
        batch_length=config.replay.batch_length,
        counters=counters,
        stopwatch=stopwatch,
        guard=NonFiniteGuard(config.run.nonfinite_limit, folder),
    )


def _make_evaluator(config, env, told):
    from dreamer_tf.training.evaluation import Evaluator

    count = config.run.eval_count
    make_envs = functools.partial(
        make_vector_env,
        config,
        env,
        count=count,
        seed=derive_seed(config.seed, "evaluation envs"),
        workers=config.env.workers,
        evaluation=True,
        told=told,
    )
    return Evaluator(make_envs, count, config.run.eval_episodes, evaluation_limit(config))


def make_agent(
    config: configs.Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]
) -> "Agent":
    """Builds the agent that the config names.

    Raises:
      ConfigError: If it cannot serve these spaces.
    """
    from dreamer_tf import agents

    try:
        return agents.make(config, obs_space, act_space)
    except ValueError as error:
        raise configs.ConfigError(
            f"the agent {config.agent!r} cannot play {config.task!r}: {error}"
        ) from error


def make_replay(config: configs.Config, directory: pathlib.Path, agent: "Agent") -> Replay:
    """Opens the replay of a run.

    Args:
      config: `Config`.
      directory: Its folder.
      agent: `dreamer_tf.agents.Agent`, whose spaces and carry it stores.

    Returns:
      `Replay`.

    Raises:
      ConfigError: If the agent has no carry that could be kept or go on from batch to batch.
    """
    options = config.replay
    if options.carry and not agent.carry_space:
        raise configs.ConfigError(
            f"replay.carry is true, but the agent {config.agent!r} hands nothing that it carries "
            f"to the replay; set it to false."
        )
    if options.consecutive > 1 and not agent.initial_carry(1):
        raise configs.ConfigError(
            f"replay.consecutive is {options.consecutive}, but the agent {config.agent!r} carries "
            f"nothing from batch to batch; set it to 1."
        )
    return Replay(
        directory,
        specs.row_spaces(agent.obs_space, agent.act_space),
        capacity=options.capacity,
        seed=derive_seed(config.seed, "replay"),
        sampler=_make_sampler(options),
        carry=agent.carry_space if options.carry else {},
        ongoing=options.ongoing,
    )


def _make_sampler(options):
    sampler = _SAMPLERS[options.sampler]()
    if options.online:
        sampler = FreshFirst(sampler, options.online)
    if options.consecutive > 1:
        sampler = Consecutive(sampler, options.consecutive)
    return sampler


def suitable_size(obs_space: Mapping[str, Space], on_gpu: bool) -> tuple[str, str]:
    """The preset that goes after `OWN_ENV_PRESET`.

    It sets neither ``env`` nor ``steps``: the environments run already when it is chosen.

    Args:
      obs_space: Dict of observation key to `Space`.
      on_gpu: Whether TensorFlow has a GPU to compute on.

    Returns:
      Name of the preset, and why it was chosen.
    """
    if not on_gpu:
        return "dreamerv3_cpu", "no GPU"
    if any(space.is_image for space in obs_space.values()):
        return "size50m", "a GPU, and images to see"
    return "size12m", "a GPU, and no images to see"


def _choose_size(resolved, obs_space, terminal):
    """Adds the preset that suits the machine, and says so."""
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    preset, reason = suitable_size(obs_space, on_gpu)
    terminal.message(f"no presets given, {reason}: the same as --configs {OWN_ENV_PRESET} {preset}")
    return configs.add_preset(resolved, preset)


def _introduce(terminal, config, agent, counters, frames_per_step):
    """Says on what and with what the run computes, and at which pace it learns."""
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    terminal.message(f"device {', '.join(devices) or 'CPU'}, precision {config.precision}")
    counts = agent.parameter_counts()
    parts = ", ".join(f"{name}\u00a0{count:,}" for name, count in counts.items())
    terminal.message(f"agent {config.agent}: {sum(counts.values()):,} parameters  {parts}".rstrip())
    if counts:
        every, rows = config.run.train_every, config.replay.batch_size * config.replay.batch_length
        updates = float(updates_per_block(config, frames_per_step))
        terminal.message(
            f"{counted(frames_per_step, 'frame')} an action, {rounded(updates)} updates in "
            f"{counted(every, 'frame')}: {rows:,} rows an update, each row of experience replayed "
            f"{rounded(updates * rows * frames_per_step / every)} times"
        )
    if counters.env_frames:
        terminal.message(
            f"continuing at {counters.env_frames:,} frames and {counters.grad_steps:,} updates"
        )
    if counters.env_frames >= config.steps:
        terminal.message(f"all {config.steps:,} frames are collected; --steps asks for more")


# ---- From the one seed of a run to a distinct seed for everything that draws random numbers.


def derive_seed(seed: int, *names: str) -> int:
    """A seed for one named part of a run.

    Parts with different names get unrelated seeds, and the same name always gets the same one, so
    that adding a part does not change the numbers that another part draws.

    Args:
      seed: The run's seed.
      *names: What the seed is for, for example ``"replay"``.

    Returns:
      An int in [0, 2**31).
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seed_libraries(seed: int) -> None:
    """Seeds the global generators of Python, NumPy and TensorFlow (and so Keras initialisers)."""
    # Imported here so that deriving the seeds of environments does not wait for TensorFlow.
    import tensorflow as tf

    random.seed(derive_seed(seed, "python"))
    np.random.seed(derive_seed(seed, "numpy"))
    tf.random.set_seed(derive_seed(seed, "tensorflow"))
