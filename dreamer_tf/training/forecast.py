"""How long a run will take on this machine, as soon as its first updates have been timed."""

FRAMES = 1_000_000
_UPDATES = 20
_ACTIVITIES = ("acting", "data", "updating")


class Forecast:
    """Measures acting and learning once, early in a run.

    ::

        first updates         next step, from here on               20 updates later
        (traces the update)   (traces the policy)  │◄─── measured ───►│

    Args:
      counters: ``Counters`` of the run.
      stopwatch: ``Stopwatch`` with the sections ``acting``, ``data`` and ``updating``.
    """

    def __init__(self, counters, stopwatch):
        self._counters = counters
        self._stopwatch = stopwatch
        self._marks = [self._now()]

    def take(self):
        """To be called whenever the updates that are due have been made.

        Returns:
          What was measured, in words, once; None before and afterwards.
        """
        now, last = self._now(), self._marks[-1]
        frames, updates = now[0] - last[0], now[1] - last[1]
        reached = (updates > 0, frames > 0, updates >= _UPDATES and frames > 0, False)
        if not reached[len(self._marks) - 1]:
            return None
        self._marks.append(now)
        if len(self._marks) < len(reached):
            return None
        rate = frames / (now[2] - last[2])
        return (
            f"measured over {updates} updates: {rate:.3g} frames per second, "
            f"{FRAMES:,} frames in {_duration(FRAMES / rate)}, evaluations left out"
        )

    def _now(self):
        counters = self._counters
        return counters.env_frames, counters.grad_steps, self._stopwatch.total(*_ACTIVITIES)


def _duration(seconds):
    """Seconds in words, such as ``14.2 hours``."""
    units = (("days", 48 * 3600, 86400), ("hours", 2 * 3600, 3600), ("minutes", 0, 60))
    name, size = next((name, size) for name, least, size in units if seconds >= least)
    return f"{seconds / size:,.1f} {name}"
