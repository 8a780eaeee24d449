"""Where what a run measures and films goes: one interface, and the files that implement it.

Everything that shows or keeps numbers or videos is a `Writer`: here ``metrics.jsonl``, TensorBoard
and ``scores.json``; in ``terminal.py`` and ``videos.py`` the terminal and the folder of videos; and
whatever a caller adds. `RunLog` in ``log.py`` hands all of them the same.
"""

import contextlib
import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import imageio.v3 as imageio
import numpy as np

from dreamer_tf.common import write_json
from dreamer_tf.runs import lost, upkeep

_LARGEST = float(np.finfo(np.float32).max)
_RETRY_SECONDS = 60
_LOGGER = logging.getLogger(__name__)


class Writer:
    """Takes in what a run measures and films; each method does nothing unless it is overridden.

    All are called in the thread of the run, which waits for them. A run that continues in its
    folder makes new writers: they append to what is there.
    """

    failed = False
    """Whether it is closed for an error, of the run or of its own; set before `close` is called."""

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Takes in numbers: those of an episode, an evaluation or a log interval.

        Args:
          env_frames: Where the run is. It never falls, and several calls may be at one frame.
          scalars: Dict of name, see ``docs/metrics.md``, to finite number.
        """

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Takes in a video.

        Args:
          env_frames: Where the run is.
          name: ``eval``, an episode, or ``openloop/<key>``, predictions beside the truth.
          frames: uint8 array ``[T, height, width, channels]`` with 1 or 3 channels.
          fps: Frames per second at which it should be shown.
        """

    def flush(self) -> None:
        """Brings what readers see up to date; called after every evaluation and log interval."""

    def close(self) -> None:
        """Called once, when the run ends, however it ends."""


class MetricsFile(Writer):
    """A file with one JSON object a line, only ever appended to.

    A line that a killed process left unfinished is cut off on opening, so that every line can be
    read.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        """Opens the file.

        Args:
          path: The file; made if missing.
        """
        self._path = pathlib.Path(path)
        self._mend()
        self._file = self._path.open("ab", buffering=0)
        self._waiting = b""

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Appends a line.

        Raises:
          OSError: If it could not be written (a full disk, say); it is with the next one.
        """
        line = json.dumps({"step": env_frames, **scalars}, allow_nan=False) + "\n"
        self._waiting += line.encode()
        self.flush()

    def flush(self) -> None:
        """Writes what could not be written before; raises as `write` does."""
        while self._waiting:
            self._waiting = self._waiting[self._file.write(self._waiting) :]

    def close(self) -> None:
        """Closes the file."""
        with contextlib.closing(self._file):
            self.flush()

    def _mend(self):
        if not upkeep.is_file_or_set_aside(self._path):
            return
        whole = lost.whole_bytes(self._path)
        if whole < self._path.stat().st_size:
            _LOGGER.warning("%s: an unfinished last line is cut off", self._path)
            os.truncate(self._path, whole)


class TensorBoard(Writer):
    """Event files for TensorBoard."""

    def __init__(self, folder: str | os.PathLike) -> None:
        """Opens an event file.

        Args:
          folder: Folder of the event files.
        """
        # Imported here: the terminal, a writer too, is there before TensorFlow is loaded.
        import tensorflow as tf

        self._summary = tf.summary
        self._folder = str(folder)
        self._file = tf.summary.create_file_writer(self._folder)
        self._failed = -math.inf

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars, cut off at the largest numbers of float32, which TensorBoard has.

        After an error, which is raised, a minute's numbers are left out here.
        """
        with self._appending(env_frames) as is_open:
            for name, value in scalars.items() if is_open else ():
                self._summary.scalar(name, np.float32(min(max(value, -_LARGEST), _LARGEST)))

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Writes a film where TensorBoard shows images, as an animated one."""
        from tensorboard.plugins.image import metadata

        shown = np.repeat(frames, 3 // frames.shape[-1], axis=-1)
        film = imageio.imwrite("<bytes>", shown, extension=".gif", duration=1000 / fps, loop=0)
        height, width = frames.shape[1:3]
        with self._appending(env_frames) as is_open:
            if is_open:
                self._summary.write(
                    f"videos/{name}",
                    [str(width), str(height), film],
                    metadata=metadata.create_summary_metadata(name, ""),
                )

    @contextlib.contextmanager
    def _appending(self, env_frames):
        """The event file as the default one; False for a minute after an error."""
        if time.monotonic() - self._failed < _RETRY_SECONDS:
            yield False
            return
        try:
            if self._file is None:
                self._file = self._summary.create_file_writer(self._folder)
            # TensorFlow keeps a tensor of every number of Python that it has ever met, for good.
            with self._file.as_default(step=np.int64(env_frames)):
                yield True
            self._file.flush()
        except Exception:
            # What follows a torn record in a file cannot be read: the next has one of its own.
            self._file = None
            self._failed = time.monotonic()
            raise

    def close(self) -> None:
        """Closes the event file."""
        if self._file is not None:
            self._file.close()


class Scores(Writer):
    """``scores.json``: the learning curve in the shape of the authors' score files.

    A list with one entry ``{"task", "method", "seed", "xs", "ys"}``; ``xs`` are env_frames and
    ``ys`` mean returns.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        task: str,
        method: str,
        seed: int,
        scalar: str,
        until: int,
    ) -> None:
        """Reads the curve so far.

        Args:
          path: The file. If it exists, its curve is continued; if it is missing or damaged, the
            curve is made anew from the metrics beside it.
          task: Name of the task.
          method: Name of the agent.
          seed: The run's seed.
          scalar: Name of the number that is the score.
          until: env_frames of the last point that the run knows of which continues; later ones of
            the file, from work that was lost, are dropped.
        """
        self._path = pathlib.Path(path)
        self._entry: dict[str, Any] = {
            "task": task,
            "method": method,
            "seed": seed,
            "xs": [],
            "ys": [],
        }
        self._scalar = scalar
        points = upkeep.read_or_set_aside(self._path, _parse_curve)
        if points is None:
            points = _logged_curve(self._path.parent, scalar)
        for x, y in points:
            if x <= until:
                self.write(x, {scalar: y})
        self._is_saved = not points  # Also where none of them is left.

    @property
    def best(self) -> float | None:
        """The highest score so far; None without any."""
        return max(self._entry["ys"], default=None)

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Adds a point to the curve, if the score is among the numbers."""
        if self._scalar in scalars:
            self._entry["xs"].append(env_frames)
            self._entry["ys"].append(scalars[self._scalar])
            self._is_saved = False

    def flush(self) -> None:
        """Rewrites the file in one step, if points were added or dropped since the last time."""
        if self._is_saved:
            return
        write_json(self._path, [self._entry], indent=None)
        self._is_saved = True

    def close(self) -> None:
        """Writes what was added last."""
        self.flush()


def _parse_curve(value):
    """The points of a ``scores.json``; raises where it has another shape."""
    [entry] = value
    return [(int(x), float(y)) for x, y in zip(entry["xs"], entry["ys"], strict=True)]


def _logged_curve(folder, scalar):
    """The points of one number in the metrics of a run, without those of work that was lost."""
    lines = lost.read_lines(folder / lost.METRICS_NAME, unreadable=[])
    points, _ = lost.kept_points(lines, lost.read_starts(folder))
    return sorted(points.get(scalar, []), key=lambda point: point[0])
