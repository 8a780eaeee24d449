"""What ``metrics.jsonl`` says, without the work that killed processes lost.

The file is only ever appended to, so the lines of work that was lost stay in it. Each start notes
in ``info.json`` how far the checkpoint knew that it goes on from, and where the file ended then::

    line   line   line   line   line   line  │  line   line   line
           └ saved_frames                    └ metrics_bytes
             └─── of weights that are gone ──┘

What lies before that end and beyond that checkpoint is left out, but for training episodes: they
are in the replay before they are in the file. That steps fall shows it for starts of versions that
did not note where the file ended; it shows not all of it, because a run goes on at the frames that
its replay holds, which may be those of the last line.
"""

import json
import math
import numbers
import os
import pathlib

METRICS_NAME = "metrics.jsonl"
INFO_NAME = "info.json"
BYTES = "metrics_bytes"
"""What a start calls the place in the metrics at which its lines begin."""

_EPISODES, _EVALUATIONS = "train/", "eval/"
_BLOCK = 1 << 16


def read_starts(folder):
    """The run's starts, oldest first; none where ``info.json`` is missing or damaged.

    Args:
      folder: Run folder.
    """
    try:
        starts = json.loads((pathlib.Path(folder) / INFO_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    whole = isinstance(starts, list) and all(isinstance(start, dict) for start in starts)
    return starts if whole else []


def whole_bytes(path):
    """Bytes of a file up to the end of its last whole line; 0 without one, or without a file."""
    if not os.path.isfile(path):
        return 0
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def read_lines(path, unreadable):
    """Yields the lines of a ``metrics.jsonl``: the place of each, and the dict that it holds.

    Args:
      path: The file; missing: there are no lines.
      unreadable: List to which the numbers of lines are added that are none of metrics.
    """
    if not os.path.isfile(path):
        return
    place = 0
    with open(path, "rb") as file:
        for number, text in enumerate(file, 1):
            line = _parse(text)
            if line is not None:
                yield place, line
            elif text.endswith(b"\n"):  # Another is being written, or was when the run was killed.
                unreadable.append(number)
            place += len(text)


def _parse(text):
    """The object of a line with its ``step``; None if it is no such line."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(line, dict) and isinstance(line.get("step"), int)
    return line if fits else None


def kept_points(lines, starts):
    """The points in lines of metrics, without those of work that was lost.

    Args:
      lines: As `read_lines` yields them; all, or those with a name that is asked for.
      starts: Dicts of the run's starts, as ``info.json`` has them.

    Returns:
      Dict of name to list of (step, finite number) in the order of the file; and the last line's
      step, 0 without a line.
    """
    points, last = {}, 0
    noted, others = _noted(starts), [start for start in starts[1:] if BYTES not in start]
    for place, line in lines:
        while noted and noted[0][BYTES] <= place:
            _drop(points, *_known_to(noted.pop(0)))
            last = 0  # Steps that fall here are no other restart.
        step = line["step"]
        if step < last:
            _drop(points, *_known_before(step, others))
        if any(name.startswith(_EVALUATIONS) for name in line):
            _drop(points, math.inf, step - 1)  # There is one at a frame: it was made again.
        last = step
        for name, value in line.items():
            if name != "step" and isinstance(value, numbers.Real) and math.isfinite(value):
                points.setdefault(name, []).append((step, value))
    for start in noted:  # Which have logged nothing yet.
        _drop(points, *_known_to(start))
    return {name: pairs for name, pairs in points.items() if pairs}, last


def _noted(starts):
    """Starts that noted their place, in a file that was not taken away since."""
    found, end = [], math.inf
    for start in reversed(starts):
        if BYTES in start and start[BYTES] <= end:
            end = start[BYTES]
            found.append(start)
    return found[::-1]


def _known_to(start):
    """The frames of the checkpoint that a start went on from, and of its last evaluation."""
    saved = start.get("saved_frames", start.get("env_frames", 0))
    return saved, start.get("evaluated_frames", saved)


def _known_before(step, starts):
    """The same for the start whose first line has a step that is below the one before.

    Without a record of that checkpoint it is known to lie before ``step``.
    """
    fitting = [start for start in starts if start.get("env_frames", 0) <= step]
    last = max(fitting, key=lambda start: start.get("env_frames", 0), default=None)
    return _known_to(last) if last else (step - 1, step - 1)


def _drop(points, saved, evaluated):
    """Drops evaluations after ``evaluated``, and all but training episodes after ``saved``."""
    for name, pairs in points.items():
        limit = evaluated if name.startswith(_EVALUATIONS) else saved
        while not name.startswith(_EPISODES) and pairs and pairs[-1][0] > limit:
            pairs.pop()
