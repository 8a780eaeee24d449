"""Checkpoints that appear whole or not at all, and are verified before they are used.

A checkpoint is a folder::

    checkpoints/00012-frames60000-updates5500/
      weights.index, weights.data-…   weights, optimiser slots and generators (tf.train.Checkpoint)
      state.json                      counters, clocks, replay position, episode numbers
      manifest.json                   size and SHA-256 of the files above
    checkpoints/best.json             which one had the highest mean return in an evaluation

It is written beside the others under a temporary name, flushed to the disk, and then renamed: a
crash at any moment leaves the earlier ones as they were.
"""

import hashlib
import json
import logging
import math
import os
import pathlib
import shutil

import tensorflow as tf

from dreamer_tf.common import write_json
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.errors import (
    NO_SPACE,
    CheckpointError,
    CheckpointMismatchError,
    NoCheckpointError,
)

_LOGGER = logging.getLogger(__name__)

_NAME = run_folder.CHECKPOINT_NAME
_TEMPORARY = ".partial"
_DAMAGED = ".damaged"
_WEIGHTS = "weights"
_BEST = "best.json"


class DamagedCheckpointError(RuntimeError):
    """The files of a checkpoint are not what its manifest says."""


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

    @property
    def best_score(self):
        """Score of the best one; minus infinity without any."""
        name, score = self._best()
        return -math.inf if name is None else score

    def save(self, state, *, env_frames, grad_steps, score=None):
        """Writes a checkpoint and deletes the oldest ones, but not the best.

        Args:
          state: What belongs to the run besides the agent, JSON values.
          env_frames: For the name.
          grad_steps: For the name.
          score: Makes it the best one, with this score; None: it is not known.

        Returns:
          Path of the checkpoint.

        Raises:
          CheckpointError: If it cannot be written, a full disk for example; the earlier
            checkpoints are intact.
        """
        names = self._names()
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
        if score is not None:
            write_json(self._folder / _BEST, {"checkpoint": path.name, "score": score})
        best, _ = self._best()
        for name in [name for name in self._names() if not name.endswith(_DAMAGED)][: -self._keep]:
            if name != best:
                shutil.rmtree(self._folder / name)
        return path

    def _best(self):
        """Name and score of the best one; (None, None) without any."""
        path = self._folder / _BEST
        if not path.is_file():
            return None, None
        best = json.loads(path.read_text(encoding="utf-8"))
        there = (self._folder / best["checkpoint"]).is_dir()
        return (best["checkpoint"], best["score"]) if there else (None, None)

    def restore_one(self, which):
        """Restores the parts from a chosen checkpoint.

        Args:
          which: ``best``, or its env_frames.

        Returns:
          The state that was saved with it.

        Raises:
          NoCheckpointError: If there is no such one, or it is damaged; the message names those that
            there are.
          CheckpointMismatchError: As `restore`.
        """
        names = [name for name in self._names() if not name.endswith(_DAMAGED)]
        by_frames = {_NAME.match(name)[2]: name for name in names}
        name = self._best()[0] if which == "best" else by_frames.get(str(which))
        if name is None:
            reason = " (run.checkpoint_best keeps one, where there are evaluations)"
            raise NoCheckpointError(
                f"{self._folder} has no checkpoint {which!r}{reason if which == 'best' else ''}; "
                f"there are those at {', '.join(by_frames) or 'no'} frames"
            )
        try:
            _verify(self._folder / name)
        except DamagedCheckpointError as error:
            raise NoCheckpointError(f"the checkpoint {name} is damaged: {error}") from error
        self._read(self._folder / name)
        return json.loads((self._folder / name / "state.json").read_text(encoding="utf-8"))

    def restore(self, *, set_aside=True):
        """Restores the parts from the newest checkpoint that is whole.

        Args:
          set_aside: Whether to rename a damaged one to ``*.damaged``, so that it is never read
            again; otherwise it is only passed over. Either way with a warning.

        Returns:
          The state that was saved with it; None if there is no checkpoint.

        Raises:
          CheckpointMismatchError: If a whole checkpoint does not fit the parts; the message names
            the variable and both shapes.
        """
        for name in reversed(self._names()):
            if name.endswith(_DAMAGED):
                continue
            path = self._folder / name
            try:
                _verify(path)
            except DamagedCheckpointError as error:
                if set_aside:
                    path.rename(path.with_name(name + _DAMAGED))
                outcome = f"set aside as {name}{_DAMAGED}" if set_aside else "passed over"
                _LOGGER.warning("damaged checkpoint %s: %s; an older one is used", outcome, error)
                continue
            self._read(path)
            return json.loads((path / "state.json").read_text(encoding="utf-8"))
        return None

    def _names(self):
        """Names of checkpoints, also damaged ones, from the oldest to the newest."""
        if not self._folder.is_dir():
            return []
        names = {entry.name: _NAME.match(entry.name) for entry in self._folder.iterdir()}
        whole = [name for name, match in names.items() if match and not name.endswith(_TEMPORARY)]
        return sorted(whole, key=lambda name: int(names[name][1]))

    def _remove_partial(self):
        for path in self._folder.glob(f"*{_TEMPORARY}"):
            shutil.rmtree(path)

    def _write(self, folder, state):
        folder.mkdir()
        self._checkpoint.write(str(folder / _WEIGHTS))
        _write_json(folder / "state.json", state)
        manifest = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
        _write_json(folder / "manifest.json", manifest)
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
        status.expect_partial()


def _verify(path):
    """Raises `DamagedCheckpointError` unless all files are what the manifest says."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        for name, expected in manifest.items():
            got = _fingerprint(path / name)
            if got != expected:
                raise DamagedCheckpointError(
                    f"{path / name}: expected {expected['bytes']} bytes with SHA-256 "
                    f"{expected['sha256'][:8]}…, got {got['bytes']} with {got['sha256'][:8]}…"
                )
    except (OSError, ValueError) as error:
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
    full = getattr(error, "errno", None) in NO_SPACE or any(
        os.strerror(number) in str(error) for number in NO_SPACE
    )
    reason = (
        "the disk is full, or a quota or limit of file sizes is reached" if full else str(error)
    )
    return CheckpointError(
        f"cannot write the checkpoint {path}: {reason}. Earlier checkpoints are intact; "
        f"the same command continues the run."
    )
