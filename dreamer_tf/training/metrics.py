"""Numbers about a run: averages of an agent's metrics, episodes, time and memory.

``docs/metrics.md`` says what each logged name means.
"""

import collections
import contextlib
import dataclasses
import math
import time

import numpy as np
import psutil

from dreamer_tf.specs import LOG_PREFIX


class Averages:
    """Averages scalars over an interval.

    What comes in may be tensors; they are read when the average is asked for, so that collecting
    them never waits for a device.
    """

    def __init__(self):
        self._values = collections.defaultdict(list)

    def add(self, metrics):
        """Adds a dict of scalars, numbers or tensors."""
        for key, value in metrics.items():
            self._values[key].append(value)

    def take(self):
        """Returns the means as a dict of floats and begins a new interval.

        Values that are not finite, those of a skipped update, are left out; so is a key that has
        no other.
        """
        means = {}
        for key, values in self._values.items():
            numbers = np.array([float(value) for value in values])
            numbers = numbers[np.isfinite(numbers)]
            if numbers.size:
                means[key] = float(numbers.mean())
        self._values.clear()
        return means


class Stopwatch:
    """Splits the time of an interval among activities, in seconds."""

    def __init__(self):
        self._sections = collections.defaultdict(float)
        self._totals = collections.defaultdict(float)
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def section(self, name):
        """Adds the time spent inside to an activity. Sections do not nest."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._sections[name] += seconds
            self._totals[name] += seconds

    def total(self, *names):
        """Seconds spent in activities since the stopwatch was made, whatever the interval."""
        return sum(self._totals[name] for name in names)

    def take(self):
        """Returns (seconds by activity, seconds in all) and begins a new interval."""
        now = time.perf_counter()
        sections, total = dict(self._sections), now - self._start
        self._sections.clear()
        self._start = now
        return sections, total


@dataclasses.dataclass(frozen=True)
class Episode:
    """A finished episode.

    Attributes:
      score: Sum of the rewards.
      length: Agent steps.
      stream: Index of the environment that played it.
      log: Dict of the numbers that the environment has for the log, by ``log_<name>``.
    """

    score: float
    length: int
    stream: int
    log: dict[str, float]


class EpisodeStatistics:
    """Adds up the rewards of each stream; a callback of the driver.

    Args:
      on_episode: Function that receives each finished ``Episode``.
    """

    def __init__(self, on_episode):
        self._on_episode = on_episode
        self._rewards = {}

    def __call__(self, row, stream):
        """Takes in one row."""
        if row["is_first"]:
            self._rewards[stream] = []
        else:
            self._rewards[stream].append(float(row["reward"]))
        if row["is_last"]:
            rewards = self._rewards.pop(stream)
            log = {key: float(row[key]) for key in row if key.startswith(LOG_PREFIX)}
            log = {key: value for key, value in log.items() if math.isfinite(value)}
            self._on_episode(Episode(math.fsum(rewards), len(rewards), stream, log))


def memory():
    """Memory of this process: ``rss``, and ``rss_anon``, the part that no file backs, in bytes."""
    info = psutil.Process().memory_info()
    return {"rss": info.rss, "rss_anon": info.rss - info.shared}
