"""Where metrics go: ``metrics.jsonl``, TensorBoard, and ``scores.json``."""

import json
import logging
import os
import pathlib

import tensorflow as tf

from dreamer_tf.training.run_folder import write_json

_LOGGER = logging.getLogger(__name__)


class MetricsFile:
    """A file with one JSON object a line, only ever appended to.

    A line that a killed process left unfinished is cut off on opening, so that every line can be
    read.

    Args:
      path: The file; made if missing.
    """

    def __init__(self, path):
        self._path = pathlib.Path(path)
        self._mend()
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, step, metrics):
        """Appends a line.

        Args:
          step: env_frames.
          metrics: Dict of name to finite number.
        """
        self._file.write(json.dumps({"step": step, **metrics}, allow_nan=False) + "\n")
        self._file.flush()

    def close(self):
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


class TensorBoard:
    """Event files for TensorBoard.

    Args:
      folder: Folder of the event files.
    """

    def __init__(self, folder):
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, step, metrics):
        """Writes scalars; ``step`` is env_frames."""
        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def close(self):
        """Closes the event file."""
        self._writer.close()


class Scores:
    """``scores.json``: the learning curve in the shape of the authors' score files.

    A list with one entry ``{"task", "method", "seed", "xs", "ys"}``; ``xs`` are env_frames and
    ``ys`` mean returns.

    Args:
      path: The file. If it exists, its curve is continued.
      task: Name of the task.
      method: Name of the agent.
      seed: The run's seed.
      until: env_frames from which the run continues; later points of the file, from work that
        was lost, are dropped.
    """

    def __init__(self, path, *, task, method, seed, until):
        self._path = pathlib.Path(path)
        self._entry = {"task": task, "method": method, "seed": seed, "xs": [], "ys": []}
        self._saved = 0
        if self._path.exists():
            [old] = json.loads(self._path.read_text(encoding="utf-8"))
            for x, y in zip(old["xs"], old["ys"], strict=True):
                if x <= until:
                    self.add(x, y)

    @property
    def best(self):
        """The highest score so far; None without any."""
        return max(self._entry["ys"], default=None)

    def add(self, env_frames, score):
        """Adds a point to the curve."""
        self._entry["xs"].append(env_frames)
        self._entry["ys"].append(score)

    def save(self):
        """Rewrites the file in one step, if points were added since the last time."""
        if self._saved == len(self._entry["xs"]):
            return
        write_json(self._path, [self._entry], indent=None)
        self._saved = len(self._entry["xs"])


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
