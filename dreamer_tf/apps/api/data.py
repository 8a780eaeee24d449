"""Experience that was recorded before: learning from it, and Minari datasets out of runs."""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamer_tf import specs
from dreamer_tf.apps.api.training import Result, Stop, prepare
from dreamer_tf.apps.report.document import write_at_end
from dreamer_tf.common.extras import install_hint
from dreamer_tf.config import ConfigError
from dreamer_tf.config import read as read_config
from dreamer_tf.envs import RecordedEpisodes
from dreamer_tf.envs.base import set_entry
from dreamer_tf.replay import Replay, episode_files, read_episodes
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.runs.machine import quiet_tensorflow
from dreamer_tf.runs.writers import Writer
from dreamer_tf.training import hosts, session
from dreamer_tf.training.callbacks import Callback, stop_when
from dreamer_tf.training.no_envs import NoEnvs
from dreamer_tf.training.opening import UNNAMED

if TYPE_CHECKING:  # At run time this module does without TensorFlow.
    from dreamer_tf.agents import Agent

_REPLAY = "replay"
_MINARI_ID = re.compile(r"-v\d+$")


def fit(
    dataset: Any,
    configs: Sequence[str] = (),
    logdir: str | os.PathLike | None = None,
    updates: int | None = None,
    *,
    env: Any | Callable[[], Any] | str | None = None,
    agent: "type[Agent] | str | None" = None,
    stop: Stop | Sequence[Stop] | None = None,
    callbacks: Sequence[Callback] = (),
    writers: Sequence[Callable[[pathlib.Path], Writer]] = (),
    quiet: bool = False,
    **overrides: Any,
) -> Result:
    """Trains an agent on recorded episodes: a world model of them, and behaviour inside it.

    Nothing acts. The run folder gets the episodes and is one like any other: `dreamer_tf.load`
    loads the agent, and `dreamer_tf.train` with an environment goes on from it, in the same folder
    or with ``run.from_run`` in another.

    Args:
      dataset: Run folder whose replay is learned from; or a Minari dataset or its id, or anything
        that `dreamer_tf.envs.RecordedEpisodes` can read.
      configs: As for `dreamer_tf.train`; without, DreamerV3 in a size that suits the machine.
      logdir: Run folder to make, or to go on with, whose replay is then learned from whatever
        ``dataset`` is; None for a new one under ``runs/``.
      updates: grad_steps to make in all; None for the config's ``steps``.
      env: Where to evaluate, as for `dreamer_tf.train`; None: nowhere.
      agent: As for `dreamer_tf.train`.
      stop: Likewise.
      callbacks: Likewise; there are no training episodes to be told of.
      writers: Likewise.
      quiet: Likewise.
      **overrides: Further options; those of ``run`` that count env_frames count updates here.

    Returns:
      A `Result`; the ``xs`` of its curve and metrics are updates.

    Raises:
      ConfigError: A preset or option does not exist, or does not fit.
      EnvError: The recorded values are not as their spaces say, or of a kind that is not supported,
        or ``env`` has others.
      RunFolderError: There are no episodes.
    """
    quiet_tensorflow()
    continues = logdir is not None and run_folder.has_run(logdir)
    if not isinstance(env, str):
        overrides.setdefault("task", _task_of(logdir if continues else dataset))
    is_evaluated = env is not None  # Of a task by its name, nothing is left in ``env`` below.
    env, resolved = prepare(env, configs, logdir, updates, agent, overrides, has_data=True)
    folder = pathlib.Path(logdir or run_folder.default_folder(resolved.config))
    config = dataclasses.replace(resolved.config, logdir=str(folder))
    resolved = dataclasses.replace(resolved, config=config)
    agent_class = None if isinstance(agent, str) else agent
    peers = hosts.find_hosts(config)
    if peers and not peers.is_chief:  # It needs neither folder nor data.
        return Result.of(session.run(resolved, agent=agent_class))
    with run_folder.begun_or_removed(folder), contextlib.ExitStack() as stack:
        recorded = _bring(dataset, folder, resolved.config, stack)
        recorded.is_evaluated = is_evaluated
        run = session.run(
            resolved,
            env,
            agent=agent_class,
            recorded=recorded,
            callbacks=[*callbacks, *stop_when(stop)],
            writers=writers,
            quiet=quiet,
            at_end=[write_at_end],
        )
    return Result.of(run)


def _task_of(source):
    """The task that the run in a folder learns; other episodes do not tell theirs."""
    if not (isinstance(source, str | os.PathLike) and run_folder.has_run(source)):
        return UNNAMED
    try:
        return read_config(source).task
    except ConfigError:  # Of a version with other options; its episodes are as good as any.
        return UNNAMED


def _bring(dataset, folder, config, stack):
    """Puts recorded episodes into the replay of a new run, and returns their spaces.

    Where the run then does not begin, they are taken away when the stack is closed.
    """
    if run_folder.has_run(folder):
        return _spaces_of(folder)
    if (folder / _REPLAY).exists():
        raise RunFolderError(
            f"{folder} holds a replay and no run: choose another folder, or remove {_REPLAY}/ "
            f"there if nothing in it is needed"
        )
    stack.callback(_take_back, folder)
    if isinstance(dataset, str | os.PathLike) and pathlib.Path(dataset).is_dir():
        return _bring_run(pathlib.Path(dataset), folder / _REPLAY)
    if isinstance(dataset, str | os.PathLike):
        name = os.fspath(dataset)
        if not _MINARI_ID.search(name):
            raise RunFolderError(
                f"there is no run folder {name}, nor is that the id of a Minari dataset, which "
                f"ends in a version such as -v0"
            )
        dataset = _load_minari(name)
    if not callable(getattr(dataset, "iterate_episodes", None)):
        raise RunFolderError(
            f"expected a run folder, a Minari dataset or its id, or an object with "
            f"iterate_episodes(); got {type(dataset).__name__}"
        )
    recorded = RecordedEpisodes(dataset, image_size=config.env.image_size, keys=config.env.keys)
    spaces = NoEnvs(recorded.obs_space, recorded.act_space, recorded.native_act_space)
    rows = specs.row_spaces(spaces.obs_space, spaces.act_space)
    replay = Replay(folder / _REPLAY, rows, capacity=0, seed=0)
    for episode in recorded:
        for row in episode:
            replay.add(row, stream=0)
    if not replay.episodes:
        raise RunFolderError("the dataset holds no episode to learn from")
    return spaces


def _take_back(folder):
    if not run_folder.has_run(folder):
        shutil.rmtree(folder / _REPLAY, ignore_errors=True)


def _bring_run(source, folder):
    spaces = _spaces_of(source)
    files = [path for _, path in episode_files(source / _REPLAY)]
    if not files:
        raise RunFolderError(f"there is no episode in {source / _REPLAY} to learn from")
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        try:
            os.link(file, folder / file.name)
        except OSError:  # Another file system, or one without links.
            shutil.copyfile(file, folder / file.name)
    return spaces


def _spaces_of(folder):
    obs_space, act_space = run_folder.load_spaces(folder)
    return NoEnvs(obs_space, act_space, run_folder.load_native_actions(folder) or act_space)


def to_minari(logdir: str | os.PathLike, dataset_id: str, **about: Any) -> Any:
    """Makes a Minari dataset of the episodes in the replay of a run.

    Args:
      logdir: Run folder.
      dataset_id: Its name, such as ``mine/walker-v0``.
      **about: Further arguments of ``minari.create_dataset_from_buffers``, such as ``author``.

    Returns:
      The ``minari.MinariDataset``. Its actions are those of the environment, its images those that
      the agent saw.

    Raises:
      RunFolderError: The folder holds no run, or no episode.
    """
    import tensorflow as tf

    from dreamer_tf.export.native_actions import NativeActions

    minari = _minari()
    spaces = _spaces_of(logdir)
    native = NativeActions(spaces.act_space, spaces.native_act_space)
    rows = specs.row_spaces(spaces.obs_space, spaces.act_space)
    buffers = []
    for episode in read_episodes(pathlib.Path(logdir) / _REPLAY, rows):
        taken = {key: tf.constant(episode[key][1:]) for key in spaces.act_space}
        actions = {key: value.numpy() for key, value in native.to_native(taken).items()}
        ends = episode["is_terminal"][1:]
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                observations=_plain({key: np.array(episode[key]) for key in spaces.obs_space}),
                actions=_plain(actions),
                rewards=[float(reward) for reward in episode["reward"][1:]],
                terminations=[bool(end) for end in ends],
                truncations=[bool(last) for last in episode["is_last"][1:] & ~ends],
            )
        )
    if not buffers:
        raise RunFolderError(f"there is no episode in {pathlib.Path(logdir) / _REPLAY}")
    return minari.create_dataset_from_buffers(
        dataset_id,
        buffers,
        observation_space=_gym_space(spaces.obs_space),
        action_space=_gym_space(spaces.native_act_space, spaces.act_space),
        jpeg_encoding=False,  # What the agent saw, to the bit.
        **about,
    )


def _plain(values, make=dict):
    """Values by key as the environment had them: in nested dicts, or a single one without.

    What is alone under one of these names was not in a dict.
    """
    if _is_alone(values):
        return next(iter(values.values()))
    nested = {}
    for key, value in values.items():
        set_entry(nested, key.split("/"), value)
    return _made(nested, make)


def _made(values, make):
    inner = {key: _made(v, make) if isinstance(v, dict) else v for key, v in values.items()}
    return make(inner)


def _is_alone(values):
    return len(values) == 1 and not {"vector", "image", "action"}.isdisjoint(values)


def _gym_space(spaces, taken=None):
    """The space of a dataset; integers that the agent takes as floats (``taken``) are a range."""
    from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

    def convert(key, space):
        if not (taken or spaces)[key].is_discrete:
            return Box(space.low, space.high, space.shape, space.dtype.type)
        count = space.high - space.low + 1
        if space.shape:
            return MultiDiscrete(count, start=space.low)
        return Discrete(int(count), start=int(space.low))

    return _plain({key: convert(key, space) for key, space in spaces.items()}, Dict)


def _load_minari(name):
    try:
        return _minari().load_dataset(name)
    except FileNotFoundError as error:
        raise RunFolderError(
            f"the Minari dataset {name} is not on this machine: get it by minari download {name}, "
            f"or say by MINARI_DATASETS_PATH where it is"
        ) from error


def _minari():
    try:
        import minari
    except ModuleNotFoundError as error:
        raise RunFolderError(
            f"Minari datasets need the package minari: {install_hint('minari')} ({error})"
        ) from error
    return minari
