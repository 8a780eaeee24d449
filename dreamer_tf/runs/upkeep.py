"""What a start mends and clears away in a run folder, so that damage to one file ends no run.

Files that are derived from others, or only tell about the run, are set aside when they are damaged,
as ``<name>.damaged``, and made anew. Episodes and checkpoints have rules of their own.
"""

import json
import logging
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from dreamer_tf.common import TEMPORARY
from dreamer_tf.config import CONFIG_NAME

DAMAGED = ".damaged"
EARLIER = "earlier"
"""Folder inside a run folder for the curves of tasks that were learned before."""

# With them goes which checkpoint was the best: returns of another task do not compare.
_CURVES = ("metrics.jsonl", "scores.json", "tensorboard", "videos", "report.html", "best.json")
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_LOGGER = logging.getLogger(__name__)


def set_aside(path: pathlib.Path, reason: object) -> None:
    """Renames what is no whole file of its kind, so that it can be made anew, with a warning.

    Args:
      path: What to rename: a file, a folder in its place, or a link to nothing.
      reason: What is wrong.
    """
    aside = path.with_name(path.name + DAMAGED)
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    path.rename(aside)
    _LOGGER.warning("%s is damaged (%s): set aside as %s", path, reason, aside.name)


def read_or_set_aside(path: pathlib.Path, parse: Callable[[Any], Any]) -> Any:
    """What a derived JSON file says.

    Args:
      path: The file.
      parse: Function of its JSON value to what is asked for; it raises where that is not in it.

    Returns:
      What ``parse`` returns; None if there is no file, or if it was damaged and is set aside.

    Raises:
      OSError: If it cannot be read, which is no damage.
    """
    if not is_file_or_set_aside(path):
        return None
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except _UNREADABLE as error:
        set_aside(path, error)
        return None


def is_file_or_set_aside(path: pathlib.Path) -> bool:
    """Whether there is a file; a link to nothing, or a folder, is set aside."""
    if os.path.isfile(path):
        return True
    if os.path.lexists(path):
        set_aside(path, "a link to nothing" if path.is_symlink() else "not a file")
    return False


def remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what a killed trainer was writing; its own files only.

    Args:
      folder: Run folder.
    """
    names = {CONFIG_NAME, "info.json", "spaces.json", "scores.json", "report.html"}
    for path in folder.glob(f"*{TEMPORARY}"):
        if path.name.removesuffix(TEMPORARY) in names:
            path.unlink()
    # Films keep their ending while they are written; earlier versions called them otherwise.
    for start in (TEMPORARY, ".partial"):
        for path in (folder / "videos").glob(f"{start}-*"):
            path.unlink()


def put_curves_apart(folder: pathlib.Path, task: str, env_frames: int) -> pathlib.Path:
    """Moves the curves, videos and report of a task away, so that another's begin anew.

    What they are moved into reads as a run folder of its own, with its config. A start that is
    killed in between is done again by the next.

    Args:
      folder: Run folder.
      task: The task so far.
      env_frames: How far it came.

    Returns:
      Where they are.
    """
    apart = folder / EARLIER / f"{task.replace(os.sep, '_')}-until-{env_frames}"
    apart.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / CONFIG_NAME, apart / CONFIG_NAME)
    for name in _CURVES:
        if os.path.lexists(folder / name) and not os.path.lexists(apart / name):
            (folder / name).rename(apart / name)
    return apart
