"""Numbers about a run: what a line of the log shows, and memory.

``docs/metrics.md`` says what each logged name means.
"""

import dataclasses

import psutil

ACTIVITIES = ("acting", "updating", "data", "evaluation", "saving")
"""What a run spends its time on."""


def memory():
    """Memory of this process: ``rss``, and ``rss_anon``, the part that no file backs, in bytes."""
    info = psutil.Process().memory_info()
    return {"rss": info.rss, "rss_anon": info.rss - info.shared}


class Interval:
    """Speeds, shares of time, sizes and averaged losses since the last line of the log."""

    def __init__(self, counters, stopwatch, learner, replay, replayed_rows):
        """Takes what is measured.

        Args:
          counters: `Counters` of the run.
          stopwatch: `Stopwatch` with the sections `ACTIVITIES`; where the learner has its own, with
            ``waiting`` in place of its activities.
          learner: `Learner`, with the averages of its updates' metrics.
          replay: `Replay`.
          replayed_rows: Rows in a batch.
        """
        self._counters = counters
        self._stopwatch = stopwatch
        self._learner = learner
        self._replay = replay
        self._replayed_rows = replayed_rows
        self._start = dataclasses.replace(counters)

    @property
    def is_empty(self):
        """Whether nothing was counted since the interval began."""
        return self._start == self._counters

    def take(self):
        """Returns the metrics, see ``docs/metrics.md``, and begins a new interval."""
        now, start = dataclasses.replace(self._counters), self._start
        frames = now.env_frames - start.env_frames
        updates = now.grad_steps - start.grad_steps
        metrics = self._learner.averages.take()
        if "nonfinite" in metrics:
            metrics["nonfinite"] = round(metrics["nonfinite"] * updates)
        metrics |= self._times(frames, updates)
        metrics |= {
            "agent_steps": now.agent_steps,
            "grad_steps": now.grad_steps,
            "episodes": now.episodes,
            "replay/rows": self._replay.rows,
            "replay/episodes": self._replay.episodes,
            "replay/bytes": self._replay.nbytes,
            **{f"memory/{name}": size for name, size in memory().items()},
        }
        if now.agent_steps:
            replayed = now.grad_steps * self._replayed_rows
            metrics["replay/train_ratio"] = replayed / now.agent_steps
        self._start = now
        return metrics

    def _times(self, frames, updates):
        sections, total = self._stopwatch.take()
        other = max(0.0, 1 - sum(sections.values()) / total)
        if self._learner.stopwatch is not self._stopwatch:  # What it does takes none of this time.
            sections = {"waiting": 0.0} | sections | self._learner.stopwatch.take()[0]
        seconds = dict.fromkeys(ACTIVITIES, 0.0) | sections
        metrics = {f"time/{name}": spent / total for name, spent in seconds.items()}
        metrics["time/other"] = other
        metrics["speed/frames"] = frames / total
        if frames and seconds["acting"]:  # Learning from recorded episodes, nothing acts.
            metrics["speed/acting"] = frames / seconds["acting"]
        if updates:
            metrics["speed/updating"] = updates / (seconds["updating"] + seconds["data"])
        return metrics
