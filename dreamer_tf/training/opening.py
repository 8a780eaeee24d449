"""What is looked at before a run begins in its folder, and what is changed there first.

A start that is refused leaves everything as it was: all checks come before the first change.
"""

import dataclasses
import json
import operator
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dreamer_tf.common import short_name
from dreamer_tf.config import Config
from dreamer_tf.envs import EnvError
from dreamer_tf.envs.registry import FAMILIES
from dreamer_tf.replay import Replay
from dreamer_tf.runs import run_folder, upkeep
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.specs import Space
from dreamer_tf.training.no_envs import NoEnvs

UNNAMED = "custom"
"""The task of an environment that has no name, such as a lambda's."""

_FEW = 0.1
"""Share of the replay's rows that a smaller capacity deletes without being asked twice."""

Changes = Sequence[tuple[str, Any, Any]]
"""What differs from the run so far: (option, old value, new value)."""


def check_changes(folder: pathlib.Path, changes: Changes, config: Config) -> None:
    """Refuses to go on with another task, unless that is wanted, or with another agent or seed.

    Raises:
      RunFolderError: If the task is another one, and ``run.new_task`` is not given; or if agent or
        seed is, and there is a checkpoint of the one so far.
    """
    for key, old, new in changes if run_folder.saved_frames(folder) else ():
        if key == "seed" or (key == "agent" and not _is_same_agent(old, new)):
            raise RunFolderError(
                f"the run in {folder} has the {key} {old!r}, and with {new!r} it is another run: "
                f"choose another --logdir, or go on with --{key} {old}."
            )
    old, new = _task_change(folder, changes)
    if old != new and not config.run.new_task:
        raise RunFolderError(
            f"the run in {folder} learns {old!r}, and {new!r} is another task: choose another "
            f"--logdir. If agent and replay should go on with it, give --run.new_task true: the "
            f"curves so far are then kept apart, in {upkeep.EARLIER}/."
        )


def keep_name(config: Config, changes: Changes) -> tuple[Config, Changes]:
    """Goes on under the name that the task has in the folder, where the new one says less.

    Returns:
      The config, and what differs from the run so far.
    """
    for change in changes if not config.run.new_task else ():
        key, old, new = change
        if key == "task" and new in (UNNAMED, old.rpartition(":")[2]):
            return dataclasses.replace(config, task=old), [c for c in changes if c is not change]
    return config, changes


def check_capacity(folder: pathlib.Path, changes: Changes, replay: Replay, config: Config) -> None:
    """Refuses a smaller replay that would delete much, unless that is wanted.

    Raises:
      RunFolderError: If so, and ``run.delete_episodes`` is not given.
    """
    episodes, rows = replay.excess()
    is_new = not run_folder.has_run(folder) or "replay.capacity" in [key for key, *_ in changes]
    if is_new and rows > _FEW * replay.rows and not config.run.delete_episodes:
        raise RunFolderError(
            f"replay.capacity {config.replay.capacity:,} would delete the oldest {episodes:,} of "
            f"{replay.episodes:,} episodes in {folder}, {rows:,} of {replay.rows:,} rows. If that "
            f"is meant, give --run.delete_episodes true as well; else a larger capacity."
        )


def for_this_start(
    folder: pathlib.Path,
    config: Config,
    state: Mapping[str, Any] | None,
    envs: Any,
    evaluator: Any,
) -> Config:
    """The config as it holds for one start: without evaluations where there is nothing to play in.

    Args:
      folder: Run folder.
      config: `Config`.
      state: What the newest checkpoint holds beside the agent; None without any.
      envs: `VectorEnv`, or the `NoEnvs` of recorded episodes.
      evaluator: `Evaluator`, which plays elsewhere than the episodes were recorded.

    Raises:
      RunFolderError: If recorded episodes are to be learned from in the folder of a run that acts:
        its frames would be counted as updates from then on.
      EnvError: If an action would be another in the environment than it was so far, or recorded
        episodes have other observations.
    """
    if not isinstance(envs, NoEnvs):
        if state and not config.run.new_task:
            _check_native_actions(folder, envs)
        return config
    if state and state["envs"]:
        raise RunFolderError(
            f"the run in {folder} acts in an environment. To learn from its episodes alone, give "
            f"another folder: dreamer_tf.fit({str(folder)!r}, logdir=…)"
        )
    if envs.is_evaluated:
        if config.run.eval_every:
            _check_recorded(envs, evaluator.start())
        return config
    return dataclasses.replace(config, run=dataclasses.replace(config.run, eval_every=0))


def _check_native_actions(folder, envs):
    try:
        known = run_folder.load_native_actions(folder)
    except RunFolderError:  # It is missing or damaged, and made anew when this start has its turn.
        return
    if known is None:  # An earlier version did not note them.
        return
    _raise_if_different(
        *("action", known, envs.native_act_space, operator.eq),
        f"what the run in {folder} has learned of its actions would not hold: choose another "
        f"--logdir, or give --run.new_task true if agent and replay should go on",
    )


def _check_recorded(recorded, envs):
    for kind, name, is_same in (
        ("observation", "obs_space", Space.is_like),
        ("action", "act_space", operator.eq),
        ("action", "native_act_space", operator.eq),
    ):
        _raise_if_different(
            *(kind, getattr(recorded, name), getattr(envs, name), is_same),
            "evaluations would not be of what was recorded: give an env that is like it, or none",
        )


def _raise_if_different(kind, known, spaces, is_same, so):
    """Raises `EnvError` if the environment has other spaces than those that are known."""
    keys = sorted(known.keys() | spaces.keys())
    problems = [
        f"the {kind} {key!r} of the environment is {spaces.get(key, 'missing')}, and was "
        f"{known.get(key, 'not there')}"
        for key in keys
        if key not in known or key not in spaces or not is_same(known[key], spaces[key])
    ]
    if problems:
        raise EnvError(*problems, so)


def clear(
    folder: pathlib.Path, changes: Changes, replay: Replay, tell: Callable[[str], None]
) -> None:
    """The first changes in the folder: what is unfinished, too much, or of another task goes away.

    Args:
      folder: Run folder.
      changes: What differs from the run so far.
      replay: Its replay.
      tell: Function of a line of text.
    """
    upkeep.remove_unfinished(folder)
    old, new = _task_change(folder, changes)
    if old != new:
        apart = upkeep.put_curves_apart(folder, old, run_folder.saved_frames(folder))
        tell(f"the curves of {old} are in {apart}")
    if any(key == "run.eval_every" and not (was and now) for key, was, now in changes):
        # The curve is of evaluations or of training episodes; it is made anew from the metrics.
        (folder / "scores.json").unlink(missing_ok=True)
    replay.evict()


def _is_same_agent(old, new):
    if short_name(old) == short_name(new):  # In another module, such as __main__.
        return True
    from dreamer_tf import agents

    try:
        return agents.find(old) is agents.find(new)
    except ValueError:
        return False


def _task_change(folder, changes):
    """The task so far and the task from now on; the same where no name says that it is another."""
    tasks = [(old, new) for key, old, new in changes if key == "task"]
    old, new = tasks[0] if tasks else ("", "")
    is_unnamed = UNNAMED in (old, new) and not (
        any(map(_is_registered, (old, new))) and _has_acted(folder)
    )
    # A class that was handed over has its own name, and ``module:Class`` from the command line.
    is_found = {name.rpartition(":")[2] for name in (old, new)} == {min(old, new, key=len)}
    return ("", "") if is_unnamed or is_found else (old, new)


def _has_acted(folder):
    """Whether a run was in an environment, by its newest checkpoint; True where that is unknown."""
    paths = (folder / "checkpoints").glob("*/state.json")
    paths = [path for path in paths if run_folder.CHECKPOINT_NAME.fullmatch(path.parent.name)]
    try:
        return not paths or bool(json.loads(max(paths).read_text(encoding="utf-8"))["envs"])
    except (OSError, ValueError, KeyError, TypeError):  # Damage is met later.
        return True


def _is_registered(task):
    return task.partition("_")[0] in FAMILIES
