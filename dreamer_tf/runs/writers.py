"""Where what a run measures and films goes: one interface, and the files that implement it.

Everything that shows or keeps numbers or videos is a `Writer`: here ``metrics.jsonl``, TensorBoard
and ``scores.json``; in ``terminal.py`` and ``videos.py`` the terminal and the folder of videos; and
whatever a caller adds. `RunLog` in ``log.py`` hands all of them the same.
"""

import json
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import imageio.v3 as imageio
import numpy as np

from dreamer_tf.common import write_json

_LOGGER = logging.getLogger(__name__)


class Writer:
    """Takes in what a run measures and films; each method does nothing unless it is overridden.

    All are called in the thread of the run, which waits for them. A run that continues in its
    folder makes new writers: they append to what is there.
    """

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
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Appends a line."""
        self._file.write(json.dumps({"step": env_frames, **scalars}, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _mend(self):
        if not self._path.exists():
            return
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            whole = _end_of_last_line(file, size)
            if whole < size:
                _LOGGER.warning("%s: an unfinished last line is cut off", self._path)
                file.truncate(whole)


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
        self._file = tf.summary.create_file_writer(str(folder))

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Writes scalars."""
        with self._file.as_default(step=env_frames):
            for name, value in scalars.items():
                self._summary.scalar(name, value)
        self._file.flush()

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Writes a film where TensorBoard shows images, as an animated one."""
        from tensorboard.plugins.image import metadata

        shown = np.repeat(frames, 3 // frames.shape[-1], axis=-1)
        film = imageio.imwrite("<bytes>", shown, extension=".gif", duration=1000 / fps, loop=0)
        height, width = frames.shape[1:3]
        with self._file.as_default(step=env_frames):
            self._summary.write(
                f"videos/{name}",
                [str(width), str(height), film],
                metadata=metadata.create_summary_metadata(name, ""),
            )
        self._file.flush()

    def close(self) -> None:
        """Closes the event file."""
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
          path: The file. If it exists, its curve is continued.
          task: Name of the task.
          method: Name of the agent.
          seed: The run's seed.
          scalar: Name of the number that is the score.
          until: env_frames from which the run continues; later points of the file, from work that
            was lost, are dropped.
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
        self._saved = 0
        if self._path.exists():
            [old] = json.loads(self._path.read_text(encoding="utf-8"))
            for x, y in zip(old["xs"], old["ys"], strict=True):
                if x <= until:
                    self.write(x, {scalar: y})

    @property
    def best(self) -> float | None:
        """The highest score so far; None without any."""
        return max(self._entry["ys"], default=None)

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Adds a point to the curve, if the score is among the numbers."""
        if self._scalar in scalars:
            self._entry["xs"].append(env_frames)
            self._entry["ys"].append(scalars[self._scalar])

    def flush(self) -> None:
        """Rewrites the file in one step, if points were added since the last time."""
        if self._saved == len(self._entry["xs"]):
            return
        write_json(self._path, [self._entry], indent=None)
        self._saved = len(self._entry["xs"])

    def close(self) -> None:
        """Writes what was added last."""
        self.flush()


def _end_of_last_line(file, size, block=1 << 16):
    """Position behind the last newline of a binary file; 0 if there is none."""
    end = size
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
