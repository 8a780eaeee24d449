"""When things are due: every so many frames, so many updates per frames, every so many seconds.

Clocks know nothing of what they trigger. The ones that a run must continue exactly have a
``state()`` that JSON can hold, and ``restore(state)``.
"""

import fractions
import time


class Every:
    """Due whenever the step has passed another multiple of a period.

    Multiples are counted from zero, so two runs are due at the same steps wherever they were
    interrupted. Passing several multiples at once is due once.

    Args:
      period: Steps between two times; 0: never.
      start: Step up to which nothing is due.
    """

    def __init__(self, period, start=0):
        if period < 0:
            raise ValueError(f"a period is at least 0, got {period}")
        self._period = period
        self._last = start

    def due(self, step):
        """Whether a multiple lies in (last mark, step]."""
        return bool(self._period) and step // self._period > self._last // self._period

    def mark(self, step):
        """Notes that what was due at ``step`` has been done."""
        self._last = max(self._last, step)

    def state(self):
        """What ``restore`` needs, as JSON values."""
        return {"last": self._last}

    def restore(self, state):
        """Continues from what ``state`` returned, also with another period."""
        self._last = state["last"]


class Due:
    """How many updates are due, for so many updates in every so many frames.

    >>> due = Due(every=10, updates=1.5, start=100)
    >>> [due.take(step) for step in (105, 110, 120, 130, 150)]
    [0, 1, 2, 1, 3]

    Fractions of an update are kept exactly, as fractions: none is lost or gained, however long the
    run. A jump over several periods gives the updates of all of them.

    Args:
      every: Steps between two blocks.
      updates: Updates in a block; a number, or a ``Fraction``.
      start: Step from which steps are counted.
    """

    def __init__(self, every, updates, start=0):
        if every < 1 or updates < 0:
            raise ValueError(
                f"expected at least 1 step between blocks and at least 0 updates in one, "
                f"got {every} and {updates}"
            )
        self._every = every
        # By way of the decimal text: a tenth written in a config is meant as exactly a tenth.
        self._updates = fractions.Fraction(str(updates))
        self._last = start
        self._credit = fractions.Fraction(0)

    def take(self, step):
        """The updates that have become due since the last call, an int."""
        blocks = max(0, step - self._last) // self._every
        self._last += blocks * self._every
        self._credit += blocks * self._updates
        count = int(self._credit)
        self._credit -= count
        return count

    def state(self):
        """What ``restore`` needs, as JSON values."""
        return {"last": self._last, "credit": str(self._credit)}

    def restore(self, state):
        """Continues from what ``state`` returned, also with another ratio."""
        self._last = state["last"]
        self._credit = fractions.Fraction(state["credit"])


class Seconds:
    """Due when so many seconds have passed since the last mark.

    Args:
      period: Seconds; 0: never.
      now: Function that tells the time in seconds.
    """

    def __init__(self, period, now=time.monotonic):
        self._period = period
        self._now = now
        self._last = now()

    def due(self):
        """Whether the period has passed."""
        return bool(self._period) and self._now() - self._last >= self._period

    def mark(self):
        """Starts the next period."""
        self._last = self._now()
