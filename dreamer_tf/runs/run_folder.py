"""A run folder: what it says about the run, and that one trainer at a time works in it.

::

    config.yaml     the resolved config            trainer.lock   held while a trainer runs
    spaces.json     what the agent sees and does   checkpoints/   see checkpoint.py
    info.json       packages and commit per start  replay/        see dreamer_tf.replay
    metrics.jsonl   see docs/metrics.md            tensorboard/   the same, as event files
    scores.json     the learning curve             videos/        evaluation and prediction
    best.json       the best checkpoint            report.html    see dreamer_tf.apps.report
    earlier/        the curves of tasks that were learned before, see upkeep.py
"""

import contextlib
import datetime
import fcntl
import importlib.metadata
import itertools
import json
import logging
import os
import pathlib
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf.common import short_name, write_json
from dreamer_tf.runs import upkeep
from dreamer_tf.runs.errors import NO_SPACE, RunFolderError, RunFolderInUse
from dreamer_tf.runs.lost import BYTES, INFO_NAME, METRICS_NAME, whole_bytes
from dreamer_tf.runs.machine import machine
from dreamer_tf.specs import space_from_json, space_to_json

CHECKPOINT_NAME = re.compile(r"(\d{5,})-frames(\d+)-updates(\d+)")
"""How the folder of a checkpoint is called: serial number, env_frames and grad_steps."""
LOCK_NAME = "trainer.lock"

_LOGGER = logging.getLogger(__name__)

_PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "dm_control",
    "mujoco",
    "gymnasium",
    "gym",
)


def default_folder(config, now=None):
    """A new folder under ``runs/`` whose name tells task, agent, seed and time."""
    now = datetime.datetime.now() if now is None else now
    name = f"{config.task}-{short_name(config.agent)}-seed{config.seed}-{now:%Y%m%d-%H%M%S}"
    path = pathlib.Path("runs") / name.replace(os.sep, "_")
    others = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(folder for folder in itertools.chain([path], others) if not folder.exists())


def read_config(folder):
    """The config of a run.

    Raises:
      RunFolderError: There is none.
    """
    if not has_run(folder):
        raise RunFolderError(f"No {configs.CONFIG_NAME} in {str(folder)!r}; expected a run folder.")
    return configs.read(folder)


def has_run(folder):
    """Whether a run was started in the folder."""
    return os.path.lexists(pathlib.Path(folder) / configs.CONFIG_NAME)


@contextlib.contextmanager
def explained(folder):
    """Turns errors of the system, of a folder that cannot be used, into a `RunFolderError`.

    Args:
      folder: Run folder. It may be read-only, a file, below a file, or have too long a name.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
        where = "" if error.filename in (None, str(folder)) else f" ({error.filename})"
        raise RunFolderError(
            f"{folder} cannot be used as a run folder: {error.strerror or error}{where}"
        ) from error


@contextlib.contextmanager
def begun_or_removed(folder):
    """Removes a folder that was made inside, and its new parents, if no run began before an error.

    Where another trainer works in it, it stays.

    Args:
      folder: Run folder, which need not be there.
    """
    folder = pathlib.Path(folder)
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        yield
    except BaseException as error:
        if made and not has_run(folder) and not isinstance(error, RunFolderInUse):
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made[1:]:
                with contextlib.suppress(OSError):  # Something else is in it by now.
                    parent.rmdir()
        raise


def continue_config(resolved, folder):
    """The config of a run that may have been started before.

    A run keeps its options; those given now, by preset or by name, replace them.

    Args:
      resolved: `config.Resolved`, what was given now.
      folder: Run folder.

    Returns:
      The `config.Resolved` to use, and a list of (key, old value, new value) that differ from
      the run so far, the folder's own path excepted.
    """
    if not has_run(folder):
        return resolved, []
    if not (pathlib.Path(folder) / configs.CONFIG_NAME).read_bytes().strip():
        raise RunFolderError(
            f"{configs.CONFIG_NAME} in {folder} is empty, so that nothing tells how the run was "
            f"started: put it there from a copy, or remove it and give all options again"
        )
    earlier = configs.read(folder)
    given = resolved.given()
    if given.get("precision") == "auto":
        del given["precision"]  # It was chosen at the first start.
    whole = {key for preset in resolved.presets.values() for key in preset}
    for key in resolved.entries.keys() - whole:  # The run's other entries stay.
        given[key] = configs.from_text(configs.flatten(earlier)[key]) | resolved.entries[key]
    merged = configs.load([str(pathlib.Path(folder) / configs.CONFIG_NAME)], given)
    origins = {
        key: resolved.origins[key] if key in given else "earlier start" for key in merged.origins
    }
    changes = configs.differences(earlier, merged.config)
    changes = [change for change in changes if change[0] != "logdir"]
    return configs.Resolved(merged.config, origins), changes


def add_start(folder, env_frames, saved, evaluated):
    """Adds the present program to ``info.json``: when, from which frame, with what, on what.

    Args:
      folder: Run folder.
      env_frames: How many were played.
      saved: At how many its weights were saved. After a kill these are fewer.
      evaluated: At how many the last evaluation was that was made before they were saved.
    """
    path = pathlib.Path(folder) / INFO_NAME
    starts = upkeep.read_or_set_aside(path, _parse_starts) or []
    starts.append(
        {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "env_frames": env_frames,
            "saved_frames": saved,
            "evaluated_frames": evaluated,
            BYTES: whole_bytes(path.with_name(METRICS_NAME)),
            "command": shlex.join(sys.argv),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "machine": machine(),
            "dreamer_tf": dreamer_tf.__version__,
            "packages": _versions(),
            "git": git_commit(pathlib.Path(dreamer_tf.__file__).parent.parent),
        }
    )
    write_json(path, starts)


def _parse_starts(starts):
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise ValueError("expected a list of starts")
    return starts


def git_commit(folder):
    """The commit of a checkout, with ``-dirty`` if files differ; None outside of one."""
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        result = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None  # No git on this machine, or not a repository that it accepts.
    return result.stdout.strip()


def save_spaces(folder, obs_space, act_space, native_act_space):
    """Writes ``spaces.json``, from which the agent can be built without an environment.

    Args:
      folder: Run folder.
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
      native_act_space: The actions as the simulator itself takes them.
    """
    groups = {
        "observations": obs_space,
        "actions": act_space,
        "native_actions": native_act_space,
    }
    encoded = {
        name: {key: space_to_json(space) for key, space in group.items()}
        for name, group in groups.items()
    }
    path = pathlib.Path(folder) / "spaces.json"
    upkeep.is_file_or_set_aside(path)
    write_json(path, encoded)


def load_spaces(folder):
    """Reads what `save_spaces` wrote.

    Returns:
      Dicts of observation key and of action key to `Space`.

    Raises:
      RunFolderError: If the folder has no ``spaces.json``.
    """
    groups = _read_spaces(folder)
    return groups["observations"], groups["actions"]


def load_native_actions(folder):
    """Reads the simulator's own action spaces, which `save_spaces` wrote.

    Returns:
      Dict of action key to `Space`; None if an earlier version wrote the folder.

    Raises:
      RunFolderError: If the folder has no ``spaces.json``.
    """
    return _read_spaces(folder).get("native_actions")


def _read_spaces(folder):
    path = pathlib.Path(folder) / "spaces.json"
    if not path.is_file():
        raise RunFolderError(f"{folder} is not the folder of a run: it has no {path.name}")
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        spaces = {
            name: {key: space_from_json(encoded) for key, encoded in group.items()}
            for name, group in groups.items()
        }
        if missing := {"observations", "actions"} - spaces.keys():
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}). Continue the run for a moment, "
            f"and it is made anew."
        ) from error
    return spaces


def saved_frames(folder):
    """How far a run has come that continues from its newest checkpoint.

    Args:
      folder: Run folder, which need not exist.

    Returns:
      env_frames; 0 if there is no checkpoint.
    """
    newest = _newest_checkpoint(folder)
    return int(newest[2]) if newest else 0


def is_owing(folder):
    """Whether the newest checkpoint of a run was made before updates or an evaluation then due.

    Args:
      folder: Run folder.

    Returns:
      True also where that cannot be read: another start does no harm. False where there is nothing.
    """
    folder, newest = pathlib.Path(folder), _newest_checkpoint(folder)
    path = folder / "checkpoints" / newest[0] / "state.json" if newest else None
    if not (path and path.is_file()):
        return False
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        every = configs.read(folder).run.eval_every
        missed = every and state["clocks"]["eval"]["last"] // every < int(newest[2]) // every
        return bool(state["pending_updates"] or missed)
    except (OSError, ValueError, KeyError, TypeError) as error:  # A `ConfigError` is a ValueError.
        _LOGGER.debug("%s does not tell what is due: %r", folder, error)
        return True


def _newest_checkpoint(folder):
    """The match of its name; None: there is none."""
    paths = (pathlib.Path(folder) / "checkpoints").glob("*")
    names = [match for path in paths if (match := CHECKPOINT_NAME.fullmatch(path.name))]
    return max(names, key=lambda match: int(match[1]), default=None)


class RunFolderLock:
    """Holds a run folder for this process, as a context manager.

    The system releases the lock when the process ends, however it ends, so a killed trainer leaves
    nothing to clean up. The file tells who holds it.

    Raises:
      RunFolderInUse: On entry, if another process holds the folder; the message names it.
    """

    def __init__(self, folder):
        """Names the folder.

        Args:
          folder: Run folder; made if missing.
        """
        self._path = pathlib.Path(folder) / LOCK_NAME
        self._file = None

    def __enter__(self):
        with explained(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise RunFolderInUse(
                f"the run folder {self._path.parent} is in use by {holder}; "
                f"stop that trainer first, or choose another --logdir"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *_):
        self._file.close()
        self._file = None


def _versions():
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions
