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
import os
import pathlib
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamer_tf import config as configs
from dreamer_tf import envs, specs
from dreamer_tf.replay import (
    Consecutive,
    EpisodeEnds,
    FreshFirst,
    Replay,
    UniformStarts,
    UniformWindows,
)
from dreamer_tf.runs import loggers, run_folder
from dreamer_tf.runs.machine import generators_kept, keep_freed_memory, start_tensorflow
from dreamer_tf.runs.terminal import open_terminal
from dreamer_tf.runs.writers import Writer
from dreamer_tf.specs import Space
from dreamer_tf.training import hosts, opening
from dreamer_tf.training.callbacks import Callback, Own, Run
from dreamer_tf.training.introduction import introduce
from dreamer_tf.training.no_envs import NoEnvs
from dreamer_tf.training.pace import Counters
from dreamer_tf.training.sizes import choose_size_for
from dreamer_tf.training.stopping import StopSignals

if TYPE_CHECKING:
    from dreamer_tf.agents.base import Agent

_SAMPLERS = {"windows": UniformWindows, "starts": UniformStarts, "episode_ends": EpisodeEnds}
_LOGGER = logging.getLogger(__name__)


def run(
    resolved: configs.Resolved,
    env: Any | Callable[[], Any] | None = None,
    *,
    agent: "type[Agent] | None" = None,
    recorded: NoEnvs | None = None,
    callbacks: Sequence[Callback] = (),
    writers: Sequence[Callable[[pathlib.Path], Writer]] = (),
    quiet: bool = False,
    at_end: Sequence[Callable[[pathlib.Path, Callable[[str], None]], Any]] = (),
) -> Run:
    """Trains in the folder ``logdir``, from the beginning or from where it stopped.

    Args:
      resolved: `config.Resolved`; without ``logdir``, a new folder under ``runs/``.
      env: A user's environment or constructor; None: the config's task.
      agent: A class of one's own; None: the config's.
      recorded: Spaces of the episodes in the folder's replay, to learn from these without acting;
        the environment is then for evaluations alone, and ``steps`` are updates. None: it acts.
      callbacks: Whom to tell what happens.
      writers: Further places for metrics and videos: functions of the run folder that return a
        `runs.writers.Writer`. If one fails, that is told, and the run goes on without it.
      quiet: Whether to leave the terminal alone.
      at_end: Functions of the run folder and of a function that tells a line of text. They are
        called in turn when the run has ended and is saved, so that no failure may end it.

    Returns:
      The `Run`, with the trained agent.

    Raises:
      KeyboardInterrupt: After Ctrl-C, when everything is saved.
      SystemExit: After SIGTERM or SIGHUP, or when nobody reads the output any more, when
        everything is saved; with code 143, 129 or 141.
    """
    for kind in callbacks:
        if isinstance(kind, type):
            raise configs.ConfigError(f"callbacks are objects: {kind.__name__}(), not its class")
    folder = resolved.config.logdir or run_folder.default_folder(resolved.config)
    folder = pathlib.Path(os.path.abspath(folder))  # An environment may change directory.
    peers = hosts.find_hosts(resolved.config)
    if peers and agent:
        raise configs.ConfigError(
            f"the class {agent.__name__} is known to this process only, and several learn "
            f"together: give agent a name that all of them can import, as module:Class"
        )
    keep_freed_memory()
    if peers and not peers.is_chief:
        start_tensorflow(resolved.config.op_threads)
        follower = hosts.follow(resolved.config, peers, make_agent)
        return Run(folder, follower, resolved.config, Counters(), ())
    trainer: Any = None
    # A stop that did not wait for an environment at the start: nothing is to be saved yet.
    with contextlib.suppress(envs.EnvAbandoned), contextlib.ExitStack() as stack:
        stack.enter_context(generators_kept())
        stack.enter_context(run_folder.begun_or_removed(folder))
        stack.enter_context(run_folder.RunFolderLock(folder))
        is_new, given = not run_folder.has_run(folder), resolved
        with run_folder.explained(folder):
            resolved, changes = run_folder.continue_config(resolved, folder)
        opening.check_changes(folder, changes, resolved.config)
        hosts.check_given(given.config, resolved.config, peers)
        config, changes = opening.keep_name(resolved.config, changes)
        config = dataclasses.replace(config, logdir=str(folder))
        loggers.check(config.run.loggers)
        if recorded is not None and config.run.overlap:
            raise configs.ConfigError(
                "run.overlap acts while it learns, and nothing acts where recorded episodes are "
                "learned from; set it to false"
            )
        stop: StopSignals
        terminal = open_terminal(
            config.steps, on_closed=lambda: stop.request(signal.SIGPIPE), quiet=quiet
        )
        stop = stack.enter_context(StopSignals(terminal.message))
        terminal.message(f"run folder {folder}")
        for remark in configs.remarks(given, config, is_new):
            terminal.message(f"note: {remark}")
        for key, old, new in changes:
            terminal.message(f"changed since the last start: {key} from {old} to {new}")
        seen: dict[str, Any] = {"told": set(), "stopped": lambda: stop.requested is not None}
        acts_in = env if recorded is None else recorded
        vector_env = stack.enter_context(start_envs(config, acts_in, **seen))
        resolved = configs.Resolved(config, resolved.origins)
        if given.choose_size:
            resolved = choose_size_for(resolved, vector_env.obs_space, terminal)
        evaluator = _make_evaluator(config, env, seen)
        stack.callback(evaluator.close)
        team = hosts.start_team(resolved.config, peers, stack, terminal.message, seen["stopped"])
        ends = terminal, stop, stack, Own(agent, callbacks, writers), team
        trainer = _assemble(resolved, folder, changes, evaluator, vector_env, *ends)
        stack.enter_context(terminal)
        trainer.run()
        terminal.message(f"saved in {folder}")
    for function in at_end if trainer else ():
        _call_at_end(function, folder, terminal.message)
    if stop.requested == signal.SIGINT:
        raise KeyboardInterrupt
    if stop.requested:
        raise SystemExit(128 + stop.requested)
    return trainer.as_told


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
    **options: Any,
) -> Any:
    """Starts environments and waits until they are ready.

    Args:
      config: `Config`.
      env: A user's environment or constructor; None: the config's task.
      count: How many.
      seed: Decides their episodes.
      workers: ``process``, ``inline`` or ``ray``.
      evaluation: Whether to evaluate in them; a task may then play longer episodes.
      **options: Further ones of `VectorEnv`: ``told``, ``stopped``.

    Returns:
      `VectorEnv`, or what has its interface.
    """
    env_config = config.env
    common: dict[str, Any] = {
        "action_repeat": env_config.action_repeat,
        "time_limit": env_config.time_limit,
        "image_size": env_config.image_size,
        "keys": env_config.keys,
        "kwargs": configs.from_text(env_config.kwargs),
    }
    if isinstance(env, NoEnvs):
        return env
    if isinstance(env, envs.Vectorized):
        return env.start(seed, **common)
    if env is None:
        constructor = functools.partial(
            envs.make,
            config.task,
            observations=env_config.observations,
            background=env_config.background,
            camera=env_config.camera,
            render=env_config.render,
            atari=dataclasses.asdict(env_config.atari),
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
    options = {"step_timeout": env_config.step_timeout, **options}
    # In an evaluation all others wait, so it needs no cores besides.
    ray = dataclasses.asdict(env_config.ray) | ({"cpus": 0.0} if evaluation else {})
    start = envs.RayNodes(**ray) if workers == "ray" else workers
    return envs.VectorEnv([constructor] * count, seed=seed, workers=start, **options)


def evaluation_limit(config: configs.Config) -> int:
    """env_frames after which an evaluation waits no longer for the end of an episode; 0: never."""
    limit = config.run.eval_limit
    return max(limit, config.env.time_limit) if limit else 0


def start_envs(
    config: configs.Config,
    env: Any | Callable[[], Any] | None = None,
    **options: Any,
) -> envs.VectorEnv:
    """Starts the training environments and imports TensorFlow, side by side if that is safe.

    Args:
      config: `Config`.
      env: A user's environment or constructor; None: the config's task.
      **options: Further ones of `VectorEnv`: ``told``, ``stopped``.

    Returns:
      `VectorEnv`; the libraries are seeded.
    """
    options = options | {"count": config.env.count, "workers": config.env.workers}
    seed = derive_seed(config.seed, "envs")
    make = functools.partial(make_vector_env, config, env, seed=seed, **options)
    if config.env.workers == "inline" or isinstance(env, envs.Vectorized | NoEnvs):
        seed_libraries(config.seed, config.op_threads)
        return make()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(make)
        seed_libraries(config.seed, config.op_threads)
        return future.result()


def _assemble(resolved, folder, changes, evaluator, vector_env, *ends):
    """Builds everything else and continues from the newest checkpoint, if there is one."""
    from dreamer_tf.runs.checkpoint import Checkpoints
    from dreamer_tf.runs.log import RunLog
    from dreamer_tf.training.learner import Carry, Stopwatch
    from dreamer_tf.training.loading import start_from
    from dreamer_tf.training.loop import Trainer
    from dreamer_tf.training.offline import OfflineTrainer
    from dreamer_tf.training.overlap import OverlapTrainer
    from dreamer_tf.training.parts import Parts, make_learner
    from dreamer_tf.training.precision import make_settled_agent
    from dreamer_tf.training.resuming import resume

    terminal, stop, stack, own, team = ends
    spaces = vector_env.obs_space, vector_env.act_space
    resolved, agent = make_settled_agent(resolved, *spaces, terminal.message, own.agent)
    config = resolved.config
    agent.native_act_space = vector_env.native_act_space
    with run_folder.explained(folder):
        replay = make_replay(config, folder / "replay", agent)
    opening.check_capacity(folder, changes, replay, config)
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
    state = checkpoints.restore(anew=config.run.start_anew)
    if state is None and config.run.from_run:
        start_from(agent, config.run.from_run, terminal.message)
    config = opening.for_this_start(folder, config, state, vector_env, evaluator)
    with run_folder.explained(folder):
        # Everything fits. Only now is anything changed in the folder.
        checkpoints.set_damaged_aside()
        opening.clear(folder, changes, replay, terminal.message)
        configs.save(resolved.config, folder, resolved.origins)
        run_folder.save_spaces(folder, *spaces, vector_env.native_act_space)
        counters = Counters(**state["counters"]) if state else Counters()
        saved = counters.env_frames
        evaluated = state["clocks"]["eval"]["last"] if state else 0
        rows = resume(state, replay, vector_env, config.env.resume_steps, terminal.message)
        recorded = isinstance(vector_env, NoEnvs)  # Nothing that these counters are behind of.
        stored = (0, 0) if recorded else (replay.agent_steps, replay.stored)
        fitted = bool(state) and not state["envs"]
        ahead = counters.catch_up(stored[0], vector_env.frames_per_step, stored[1], fitted=fitted)
        run_folder.add_start(folder, counters.env_frames, saved, evaluated)
    introduce(terminal.message, config, agent, counters, vector_env.frames_per_step)
    log = RunLog(folder, config, terminal, counters.env_frames, evaluated, own.writers)
    stack.enter_context(log)
    stopwatch = Stopwatch()
    make = functools.partial(make_agent, kind=own.agent)
    learns = team.lead(agent, config, make) if team else agent
    updating = Stopwatch() if config.run.overlap else stopwatch
    learner = make_learner(config, folder, learns, replay, carry, counters, updating)
    stack.callback(learner.close)
    parts = Parts(
        config=config,
        agent=agent,
        acting=_acting_copy(agent, config, counters, make) if config.run.overlap else agent,
        random_agent=random_agent,
        envs=vector_env,
        evaluator=evaluator,
        replay=replay,
        learner=learner,
        checkpoints=checkpoints,
        log=log,
        stop=stop,
        run=Run(folder, agent, config, counters, own.callbacks),
        counters=counters,
        stopwatch=stopwatch,
    )
    kind = OverlapTrainer if config.run.overlap else Trainer
    trainer = OfflineTrainer(parts) if recorded else kind(parts)
    trainer.restore(state, rows, ahead)
    return trainer


def _acting_copy(agent, config, counters, make):
    """A second agent to act with; it draws anew at each start, not what an earlier one drew."""
    from dreamer_tf.training.overlap import ActingCopy

    seed = derive_seed(config.seed, "acting", str(counters.agent_steps))
    copy = make(dataclasses.replace(config, seed=seed), agent.obs_space, agent.act_space)
    return ActingCopy(agent, copy)


def _make_evaluator(config, env, seen):
    from dreamer_tf.training.evaluation import Evaluator

    count = config.run.eval_count
    seen = seen | {"workers": config.env.workers, "evaluation": True}
    seed = derive_seed(config.seed, "evaluation envs")
    make_envs = functools.partial(make_vector_env, config, env, count=count, seed=seed, **seen)
    return Evaluator(make_envs, count, config.run.eval_episodes, evaluation_limit(config))


def make_agent(
    config: configs.Config,
    obs_space: Mapping[str, Space],
    act_space: Mapping[str, Space],
    kind: "type[Agent] | None" = None,
) -> "Agent":
    """Builds the agent that the config names.

    Args:
      config: `Config`.
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
      kind: Its class; None: it is found by its name.

    Raises:
      ConfigError: If it cannot serve these spaces.
    """
    from dreamer_tf import agents

    try:
        return agents.make(config, obs_space, act_space, kind)
    except ValueError as error:
        raise configs.ConfigError(
            f"the agent {config.agent!r} cannot be built for {config.task!r}: {error}"
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
      ConfigError: If options do not go with what the agent carries, see `check_carry`.
    """
    from dreamer_tf.training.learner import check_carry

    check_carry(agent, config)
    options = config.replay
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


# ---- Where random numbers begin.


def derive_seed(seed: int, *names: str) -> int:
    """A seed for one named part of a run, an int in [0, 2**31).

    Parts with different names get unrelated seeds, and the same name always gets the same one, so
    that adding a part does not change the numbers that another part draws.

    Args:
      seed: The run's seed.
      *names: What the seed is for, for example ``"replay"``.
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seed_libraries(seed: int, op_threads: int | None = None) -> None:
    """Starts TensorFlow (`start_tensorflow`), seeds it (so Keras, too), Python and NumPy."""
    start_tensorflow(op_threads)
    import tensorflow as tf

    random.seed(derive_seed(seed, "python"))
    np.random.seed(derive_seed(seed, "numpy"))
    tf.random.set_seed(derive_seed(seed, "tensorflow"))
