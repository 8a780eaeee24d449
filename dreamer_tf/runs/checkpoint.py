"""Checkpoints that appear whole or not at all, and are verified before they are used.

A checkpoint is a folder::

    checkpoints/00012-frames60000-updates5500/
      weights.index, weights.data-…   weights, optimiser slots and generators (tf.train.Checkpoint)
      state.json                      counters, clocks, replay position, episode numbers
      manifest.json                   size and SHA-256 of the files above

It is written beside the others under a temporary name, flushed to the disk, and then renamed: a
crash at any moment leaves the earlier ones as they were.
"""

import errno
import hashlib
import json
import logging
import os
import pathlib
import shutil
import time

import tensorflow as tf

from dreamer_tf.runs import run_folder
from dreamer_tf.runs.errors import (
    NO_SPACE,
    PASSING,
    CheckpointError,
    CheckpointMismatchError,
    NoWholeCheckpointError,
    RunFolderError,
)

_LOGGER = logging.getLogger(__name__)

_NAME = run_folder.CHECKPOINT_NAME
_TEMPORARY = ".partial"
_DAMAGED = ".damaged"
_WEIGHTS = "weights"
_STATE, _MANIFEST = "state.json", "manifest.json"
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
_TRIES, _TRY_SECONDS = 20, 0.1


class DamagedCheckpointError(RuntimeError):
    """The files of a checkpoint are not what its manifest says."""


class _VanishedError(RuntimeError):
    """A checkpoint was deleted while it was read: there is a newer one by now."""


class Checkpoints:
    """The checkpoints of a run folder."""

    def __init__(self, folder, keep=3, **parts):
        """Names what is saved.

        Args:
          folder: Folder that holds them; made when the first is saved.
          keep: How many to keep.
          **parts: What ``tf.train.Checkpoint`` saves, by name; every variable must exist already.
        """
        if keep < 1:
            raise ValueError(f"expected to keep at least 1 checkpoint, got {keep}")
        self._folder = pathlib.Path(folder)
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._keep = keep
        self._damaged = {}

    def save(self, state, *, env_frames, grad_steps):
        """Writes a checkpoint and deletes the oldest ones.

        Args:
          state: What belongs to the run besides the agent, JSON values.
          env_frames: For the name.
          grad_steps: For the name.

        Returns:
          Path of the checkpoint.

        Raises:
          CheckpointError: If it cannot be written, a full disk for example; the earlier
            checkpoints are intact.
        """
        names = self._names(aside=True)
        serial = 1 + max((int(_NAME.match(name)[1]) for name in names), default=0)
        path = self._folder / f"{serial:05d}-frames{env_frames}-updates{grad_steps}"
        partial = path.with_name(path.name + _TEMPORARY)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._remove_partial()
            self._write(partial, state)
            os.rename(partial, path)
            _flush(self._folder)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise _cannot_write(path, error) from error
        for name in self._names()[: -self._keep]:
            self._delete(self._folder / name)
        return path

    def restore(self, *, anew=False):
        """Restores the parts from the newest checkpoint that is whole.

        Nothing is changed in the folder: damaged ones are passed over with a warning. A checkpoint
        that a trainer deletes meanwhile is no damage: there is a newer one then.

        Args:
          anew: Whether nothing at all is restored where every checkpoint is damaged.

        Returns:
          The state that was saved with it; None if nothing is restored.

        Raises:
          CheckpointMismatchError: If a whole checkpoint does not fit the parts; the message names
            the variable and both shapes.
          NoWholeCheckpointError: If every checkpoint is damaged.
          CheckpointError: If one cannot be read at the moment, which is no damage.
        """
        for _ in range(_TRIES):
            try:
                return self._restore_newest(anew)
            except _VanishedError as error:
                vanished = error
                time.sleep(_TRY_SECONDS)
            except OSError as error:
                raise _cannot_read(self._folder, error) from error
        raise _cannot_read(self._folder, vanished) from vanished

    def set_damaged_aside(self):
        """Renames those that `restore` found damaged to ``*.damaged``: they are not read again."""
        for name in self._damaged:
            path = self._folder / name
            path.rename(path.with_name(name + _DAMAGED))
            _LOGGER.warning("damaged checkpoint set aside as %s%s", name, _DAMAGED)
        self._damaged = {}

    def _restore_newest(self, anew):
        self._damaged = {}
        for name in reversed(self._names()):
            path = self._folder / name
            try:
                _verify(path)
                self._read(path)
                state = json.loads((path / _STATE).read_text(encoding="utf-8"))
            except (DamagedCheckpointError, FileNotFoundError) as error:
                if not os.path.lexists(path):
                    raise _VanishedError(f"{path} was deleted while it was read") from error
                self._damaged[name] = str(error)
                continue
            for other, reason in self._damaged.items():
                _LOGGER.warning("damaged checkpoint %s: %s; %s is used", other, reason, name)
            return state
        aside = [name for name in self._names(aside=True) if name.endswith(_DAMAGED)]
        found = [*self._damaged.values(), *aside]
        if found and not anew:
            raise NoWholeCheckpointError(
                f"there is no whole checkpoint in {self._folder}, all {len(found)} are damaged: "
                f"{'; '.join(found)}. Put a whole one there from a copy, or give "
                f"--run.start_anew true: the run then goes on with fresh weights, and with the "
                f"replay as it is."
            )
        return None

    def _names(self, aside=False):
        """Names of checkpoints from the oldest to the newest, on demand with those set aside."""
        if not self._folder.is_dir():
            if os.path.lexists(self._folder):
                what = "a link to nothing" if self._folder.is_symlink() else "a file"
                raise RunFolderError(f"{self._folder} is {what}; expected a folder of checkpoints")
            return []
        names = {entry.name: _NAME.match(entry.name) for entry in self._folder.iterdir()}
        hidden = (_TEMPORARY,) if aside else (_TEMPORARY, _DAMAGED)
        shown = [name for name, match in names.items() if match and not name.endswith(hidden)]
        return sorted(shown, key=lambda name: int(names[name][1]))

    def _delete(self, path):
        """Deletes a checkpoint: in one step for who reads it, whatever follows."""
        gone = path.with_name(path.name + _TEMPORARY)
        try:
            os.rename(path, gone)
        except OSError as error:
            _LOGGER.warning("the old checkpoint %s could not be deleted: %s", path, error)
        shutil.rmtree(gone, ignore_errors=True)

    def _remove_partial(self):
        for path in self._folder.glob(f"*{_TEMPORARY}"):
            shutil.rmtree(path, ignore_errors=True)

    def _write(self, folder, state):
        folder.mkdir()
        self._checkpoint.write(str(folder / _WEIGHTS))
        _write_json(folder / _STATE, state)
        manifest = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
        _write_json(folder / _MANIFEST, manifest)
        for path in folder.iterdir():
            _flush(path)
        _flush(folder)

    def _read(self, path):
        try:
            status = self._checkpoint.read(str(path / _WEIGHTS))
            status.assert_existing_objects_matched()
        except (ValueError, AssertionError, tf.errors.InvalidArgumentError) as error:
            raise CheckpointMismatchError(
                f"the checkpoint {path} is of another agent than the config describes: {error} "
                f"Use the options that the run was started with, or another --logdir."
            ) from error
        except (tf.errors.NotFoundError, tf.errors.DataLossError) as error:
            raise DamagedCheckpointError(f"{path}: {error}") from error
        except tf.errors.OpError as error:
            raise _cannot_read(path, error) from error
        status.expect_partial()


def _verify(path):
    """Raises `DamagedCheckpointError` unless all files are what the manifest says."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.items()}
        missing = {f"{_WEIGHTS}.index", _STATE} - expected.keys()
        if missing:
            raise DamagedCheckpointError(f"{path / _MANIFEST} lacks {', '.join(sorted(missing))}")
        for name, (size, digest) in expected.items():
            got = _fingerprint(path / name)
            if (got["bytes"], got["sha256"]) != (size, digest):
                raise DamagedCheckpointError(
                    f"{path / name}: expected {size} bytes with SHA-256 {str(digest)[:8]}…, "
                    f"got {got['bytes']} with {got['sha256'][:8]}…"
                )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedCheckpointError(f"{path / _MANIFEST}: {error}") from error
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        raise DamagedCheckpointError(f"{path}: {error}") from error


def _fingerprint(path):
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _flush(path):
    """Makes sure that a file, or the entries of a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path, error):
    number = _number(error)
    full = number in NO_SPACE
    reason = (
        "the disk is full, or a quota or limit of file sizes is reached" if full else str(error)
    )
    return CheckpointError(
        f"cannot write the checkpoint {path}: {reason}. Earlier checkpoints are intact; "
        f"the same command continues the run.",
        number,
    )


def _cannot_read(path, error):
    return CheckpointError(
        f"cannot read the checkpoints in {path}: {error}. That is no damage, and nothing was "
        f"changed: the same command tries again.",
        _number(error),
    )


def _number(error):
    """The system's number of an error, which TensorFlow tells in words; None if it has none."""
    if isinstance(error, OSError):
        return error.errno
    known = (*NO_SPACE, *PASSING)
    return next((number for number in known if os.strerror(number) in str(error)), None)
