"""How long a run will take: counted at its start, measured later, and what is left of it."""

import collections
import time

from dreamer_tf.common import duration, rounded

_FORECAST_FRAMES = 1_000_000
_FORECAST_UPDATES = 20
_UPDATING = ("updating", "data", "waiting")
"""What learning takes of a run's time; it waits where updates are made beside it."""
_FORECAST_ACTIVITIES = ("acting", *_UPDATING)
_PASSES = 6
"""Operations per weight and row of an update: a product and a sum, forwards and twice backwards."""

_SIZE, _REPEATS = 1024, 3


class TimeLeft:
    """Estimates the time to the end from the last intervals, or from a speed that was measured."""

    def __init__(self, total, now=time.monotonic, intervals=10):
        """Begins without a mark.

        Args:
          total: env_frames of the whole run.
          now: Function that tells the time in seconds.
          intervals: Marks that the estimate looks back on.
        """
        self._total = total
        self._now = now
        self._marks = collections.deque(maxlen=intervals + 1)
        self._is_hidden = False
        self._speed = None

    def mark(self, env_frames):
        """Notes how far the run has come."""
        if not self._is_hidden:
            self._marks.append((env_frames, self._now()))

    def hide(self):
        """Knows nothing until `expect`: the run will have another speed."""
        self._marks.clear()
        self._is_hidden = True

    def expect(self, env_frames, speed):
        """Begins with a measured speed, to be replaced by that of intervals from here on.

        Args:
          env_frames: How far the run has come.
          speed: env_frames per second.
        """
        self._is_hidden = False
        self._speed = speed
        self.mark(env_frames)

    def __str__(self):
        """The estimate as ``1:02:03``, or ``17.2 days``; ``?`` where there is none yet."""
        if not self._marks:
            return "?"
        (frames, start), (last, end) = self._marks[0], self._marks[-1]
        speed = (last - frames) / (end - start) if last > frames and end > start else self._speed
        return clock((self._total - last) / speed) if speed else "?"


class Forecast:
    """How long a run will take on this machine, told once its first updates have been timed.

    ::

        first updates         next step, from here on               20 updates later
        (traces the update)   (traces the policy)  │◄─── measured ───►│

    Updates that are made at once when learning starts are before that, and do not count.

    Attributes:
      speed: Measured env_frames per second; None before.
    """

    def __init__(self, counters, stopwatch, total):
        """Takes what is measured.

        Args:
          counters: `Counters` of the run.
          stopwatch: `Stopwatch` with the sections ``acting``, ``data`` and ``updating``, or
            ``waiting`` in place of the last two.
          total: env_frames of the whole run.
        """
        self._counters = counters
        self._stopwatch = stopwatch
        self._total = total
        self._marks = [self._now()]
        self.speed = None

    def take(self):
        """To be called whenever the updates that are due have been made.

        Returns:
          What was measured, in words, once; None before and afterwards.
        """
        now, last = self._now(), self._marks[-1]
        frames, updates = now[0] - last[0], now[1] - last[1]
        reached = (updates > 0, frames > 0, updates >= _FORECAST_UPDATES and frames > 0, False)
        if not reached[len(self._marks) - 1]:
            return None
        self._marks.append(now)
        if len(self._marks) < len(reached):
            return None
        self.speed = frames / (now[2] - last[2])
        left = max(0, self._total - now[0])
        return (
            f"measured over {updates} updates: {rounded(self.speed)} frames a second, "
            f"{_FORECAST_FRAMES:,} frames in {duration(_FORECAST_FRAMES / self.speed)}, "
            f"the {left:,} left of this run in {duration(left / self.speed)}, "
            f"evaluations left out"
        )

    def _now(self):
        counters, seconds = self._counters, self._stopwatch.total(*_FORECAST_ACTIVITIES)
        return counters.env_frames, counters.grad_steps, seconds


class Pretraining:
    """How far the updates are that are made at once when learning starts."""

    def __init__(self, counters, stopwatch, updates):
        """Begins before the first of them.

        Args:
          counters: `Counters` of the run.
          stopwatch: `Stopwatch` with the sections ``data`` and ``updating``, or ``waiting``.
          updates: How many there are.
        """
        self._counters = counters
        self._stopwatch = stopwatch
        self._updates = updates
        self._start = counters.grad_steps
        self._first = None

    def __str__(self):
        """What to show after an update; empty when all are made."""
        done, seconds = self._counters.grad_steps - self._start, self._stopwatch.total(*_UPDATING)
        if done > self._updates:
            return ""
        if self._first is None:  # It traces the update.
            self._first = done, seconds
        first, start = self._first
        text = f"pretraining, update {done:,} of {self._updates:,}"
        if done == first:
            return text
        return f"{text}, {clock((self._updates - done) * (seconds - start) / (done - first))} left"


def rough_seconds(weights, rows, updates):
    """What a number of updates takes at least, by the speed of this machine's matrix products.

    Networks reuse weights, imagine on, and compute in smaller pieces: it takes a multiple.

    Args:
      weights: Parameters of the agent.
      rows: Rows of experience in an update.
      updates: How many updates.

    Returns:
      Seconds; 0 where it is far below an hour, and nothing is measured.
    """
    operations = _PASSES * weights * rows * updates
    return operations / _operations_per_second() if operations > 1e13 else 0.0


def _operations_per_second():
    import tensorflow as tf

    matrix = tf.ones([_SIZE, _SIZE])
    fastest = float("inf")
    for _ in range(1 + _REPEATS):
        start = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * _SIZE**3 / fastest


def clock(seconds):
    """Seconds as ``1:02:03``, from two days on in words."""
    if seconds >= 48 * 3600:
        return duration(seconds)
    minutes, second = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
