"""What is looked at before a run begins in its folder, and what is changed there first.

A start that is refused leaves everything as it was: all checks come before the first change.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dreamer_tf.config import Config
from dreamer_tf.envs.registry import FAMILIES
from dreamer_tf.replay import Replay
from dreamer_tf.runs import run_folder, upkeep
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.training.no_envs import NoEnvs

UNNAMED = "custom"
"""The task of an environment that has no name, such as a lambda's."""

_FEW = 0.1
"""Share of the replay's rows that a smaller capacity deletes without being asked twice."""

Changes = Sequence[tuple[str, Any, Any]]
"""What differs from the run so far: (option, old value, new value)."""


def check_task(folder: pathlib.Path, changes: Changes, config: Config) -> None:
    """Refuses to go on with another task, unless that is wanted.

    Raises:
      RunFolderError: If the task is another one, and ``run.new_task`` is not given.
    """
    old, new = _task_change(changes)
    if old != new and not config.run.new_task:
        raise RunFolderError(
            f"the run in {folder} learns {old!r}, and {new!r} is another task: choose another "
            f"--logdir. If agent and replay should go on with it, give --run.new_task true: the "
            f"curves so far are then kept apart, in {upkeep.EARLIER}/."
        )


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
    folder: pathlib.Path, config: Config, state: Mapping[str, Any] | None, envs: Any
) -> Config:
    """The config as it holds for one start: without evaluations where there is nothing to play in.

    Raises:
      RunFolderError: If recorded episodes are to be learned from in the folder of a run that acts:
        its frames would be counted as updates from then on.
    """
    if not isinstance(envs, NoEnvs):
        return config
    if state and state["envs"]:
        raise RunFolderError(
            f"the run in {folder} acts in an environment. To learn from its episodes alone, give "
            f"another folder: dreamer_tf.fit({str(folder)!r}, logdir=…)"
        )
    if envs.is_evaluated:
        return config
    return dataclasses.replace(config, run=dataclasses.replace(config.run, eval_every=0))


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
    old, new = _task_change(changes)
    if old != new:
        apart = upkeep.put_curves_apart(folder, old, run_folder.saved_frames(folder))
        tell(f"the curves of {old} are in {apart}")
    if any(key == "run.eval_every" and not (was and now) for key, was, now in changes):
        # The curve is of evaluations or of training episodes; it is made anew from the metrics.
        (folder / "scores.json").unlink(missing_ok=True)
    replay.evict()


def _task_change(changes):
    """The task so far and the task from now on; the same where no name says that it is another."""
    tasks = [(old, new) for key, old, new in changes if key == "task"]
    old, new = tasks[0] if tasks else ("", "")
    is_unnamed = UNNAMED in (old, new) and not any(map(_is_registered, (old, new)))
    # A class that was handed over has its own name, and ``module:Class`` from the command line.
    is_found = {name.rpartition(":")[2] for name in (old, new)} == {min(old, new, key=len)}
    return ("", "") if is_unnamed or is_found else (old, new)


def _is_registered(task):
    return task.partition("_")[0] in FAMILIES
