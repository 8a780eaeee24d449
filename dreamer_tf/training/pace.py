"""How far a run is, how much it learns for what it plays, and when things are due.

Clocks know nothing of what they trigger. The ones that a run must continue exactly have a
``state()`` that JSON can hold, and ``restore(state)``.
"""

import dataclasses
import fractions
import time


@dataclasses.dataclass
class Counters:
    """Counts over the life of a run, restarts included.

    Attributes:
      env_frames: Simulator steps: agent steps times action repeat.
      agent_steps: Actions taken.
      grad_steps: Updates, those skipped by the guard included.
      episodes: Stored episodes, those that were cut off included.
    """

    env_frames: int = 0
    agent_steps: int = 0
    grad_steps: int = 0
    episodes: int = 0

    def acted(self, steps, frames_per_step):
        """Counts actions."""
        self.agent_steps += steps
        self.env_frames += steps * frames_per_step

    def catch_up(self, agent_steps, frames_per_step, episodes=0, *, fitted=False):
        """Goes forward, never back, to what the replay holds.

        Args:
          agent_steps: Interactions ever stored.
          frames_per_step: Simulator steps of each.
          episodes: Episodes ever stored.
          fitted: Whether frames so far are the updates of an `OfflineTrainer`.

        Returns:
          Number of agent steps by which these counters were behind.
        """
        self.episodes = max(self.episodes, episodes)
        behind = max(0, agent_steps - self.agent_steps)
        if fitted:
            self.env_frames = max(self.env_frames, agent_steps * frames_per_step)
        else:
            self.env_frames += behind * frames_per_step
        self.agent_steps += behind
        return behind


def updates_per_block(config, frames_per_step):
    """Updates that are due after every ``run.train_every`` env_frames.

    Args:
      config: `Config`. With ``run.train_ratio`` each row of experience is replayed that often on
        average, so that a batch of B sequences of T rows is due after B · T / ratio agent steps.
      frames_per_step: env_frames of an agent step.

    Returns:
      A fraction, so that none is lost or gained however long the run.
    """
    run, replay = config.run, config.replay
    if not run.train_ratio:
        return _exact(run.train_updates)
    agent_steps = fractions.Fraction(run.train_every, frames_per_step)
    return agent_steps * _exact(run.train_ratio) / (replay.batch_size * replay.batch_length)


class Every:
    """Due whenever the step has passed another multiple of a period.

    Multiples are counted from zero, so two runs are due at the same steps wherever they were
    interrupted. Passing several multiples at once is due once.
    """

    def __init__(self, period, start=0):
        """Describes the times.

        Args:
          period: Steps between two times; 0: never.
          start: Step up to which nothing is due.
        """
        if period < 0:
            raise ValueError(f"a period is at least 0, got {period}")
        self._period = period
        self._last = start

    def due(self, step):
        """Whether a multiple lies in (last mark, step]."""
        return bool(self._period) and step // self._period > self._last // self._period

    def next(self, step):
        """The first multiple beyond ``step``; only where there is a period."""
        return (step // self._period + 1) * self._period

    def mark(self, step):
        """Notes that what was due at ``step`` has been done."""
        self._last = max(self._last, step)

    def state(self):
        """What `restore` needs, as JSON values."""
        return {"last": self._last}

    def restore(self, state):
        """Continues from what `state` returned, also with another period."""
        self._last = state["last"]


class Due:
    """How many updates are due, for so many updates in every so many frames.

    >>> due = Due(every=10, updates=1.5, start=100)
    >>> [due.take(step) for step in (105, 110, 120, 130, 150)]
    [0, 1, 2, 1, 3]

    Fractions of an update are kept exactly, as fractions: none is lost or gained, however long the
    run. A jump over several periods gives the updates of all of them.
    """

    def __init__(self, every, updates, start=0):
        """Describes the blocks.

        Args:
          every: Steps between two blocks.
          updates: Updates in a block; a number, or a ``Fraction``.
          start: Step from which steps are counted.
        """
        if every < 1 or updates < 0:
            raise ValueError(
                f"expected at least 1 step between blocks and at least 0 updates in one, "
                f"got {every} and {updates}"
            )
        self._every = every
        self._updates = _exact(updates)
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

    def restart(self, step):
        """Counts from a step on; nothing before it is due any more."""
        self._last = step
        self._credit = fractions.Fraction(0)

    def state(self):
        """What `restore` needs, as JSON values."""
        return {"last": self._last, "credit": str(self._credit)}

    def restore(self, state):
        """Continues from what `state` returned, also with another ratio."""
        self._last = state["last"]
        self._credit = fractions.Fraction(state["credit"])


class Seconds:
    """Due when so many seconds have passed since the last mark."""

    def __init__(self, period, now=time.monotonic):
        """Starts the clock.

        Args:
          period: Seconds; 0: never.
          now: Function that tells the time in seconds.
        """
        self._period = period
        self._now = now
        self._last = now()

    def due(self):
        """Whether the period has passed."""
        return bool(self._period) and self._now() - self._last >= self._period

    def mark(self):
        """Starts the next period."""
        self._last = self._now()


def _exact(number):
    # By way of the decimal text: a tenth written in a config is meant as exactly a tenth.
    return fractions.Fraction(str(number))
