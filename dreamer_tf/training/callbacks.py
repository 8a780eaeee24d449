"""What is told of a run while it goes on, and may end it."""

import collections
import datetime
import math
import numbers
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dreamer_tf.config import Config
from dreamer_tf.runs.writers import Writer
from dreamer_tf.training.pace import Counters

if TYPE_CHECKING:  # What callers import stays without TensorFlow.
    from dreamer_tf.agents.base import Agent

_EPISODES = 10  # Training episodes over which a return that should end a run is averaged.


class Callback:
    """Is told what happens in a run; each method does nothing unless it is overridden.

    All are called in the thread of the run, which waits for them. An error of theirs ends the run,
    when everything is saved. With ``run.overlap`` the agent may be in the middle of an update as
    `on_episode` and `on_interval` are called.
    """

    def on_start(self, run: "Run") -> None:
        """The run begins, or goes on.

        Args:
          run: The `Run`.
        """

    def on_episode(self, run: "Run", metrics: Mapping[str, float]) -> None:
        """A training episode has ended.

        Args:
          run: The `Run`.
          metrics: ``train/return``, ``train/length``, and what the environment logs; where it died
            ``train/crashed`` alone.
        """

    def on_interval(self, run: "Run", metrics: Mapping[str, float]) -> None:
        """The line of a log interval was written: losses, speeds and counts, see docs/metrics.md.

        Args:
          run: The `Run`.
          metrics: The numbers of the line.
        """

    def on_evaluation(self, run: "Run", metrics: Mapping[str, float]) -> None:
        """An evaluation was played and its line written.

        Args:
          run: The `Run`.
          metrics: ``eval/return`` and so on; no return where the environment died in every episode.
        """

    def on_checkpoint(self, run: "Run", path: pathlib.Path) -> None:
        """A checkpoint was written.

        Args:
          run: The `Run`.
          path: Its folder.
        """


class Run:
    """A run, as callbacks see it.

    Attributes:
      logdir: The run folder.
      agent: The agent as it is now; what changes it changes the run.
      config: The run's options.
      latest: The newest value of each metric that was logged since this start.
      deadline: When it ends, in seconds of ``time.monotonic``; infinity: when it is done.
    """

    def __init__(
        self,
        logdir: pathlib.Path,
        agent: "Agent",
        config: Config,
        counters: Counters,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Tells nobody anything yet.

        Args:
          logdir: The run folder.
          agent: The agent.
          config: `Config`.
          counters: `Counters` of the run.
          callbacks: Whom to tell, in this order.
        """
        self.logdir = logdir
        self.agent = agent
        self.config = config
        self.latest: dict[str, float] = {}
        self.deadline = math.inf
        self._counters = counters
        self._callbacks = tuple(callbacks)
        self._reason: str | None = None

    @property
    def env_frames(self) -> int:
        """Simulator steps so far, restarts included."""
        return self._counters.env_frames

    @property
    def grad_steps(self) -> int:
        """Updates so far, restarts included."""
        return self._counters.grad_steps

    @property
    def episodes(self) -> int:
        """Finished training episodes so far, restarts included."""
        return self._counters.episodes

    def stop(self, reason: str = "a callback stopped it") -> None:
        """Ends the run as soon as the step that it is in is finished; everything is saved.

        Args:
          reason: Why, as a sentence without its full stop; the run tells it.
        """
        self._reason = self._reason or reason

    @property
    def stopped(self) -> str | None:
        """Why the run should end, None if it should not."""
        if self._reason is None and time.monotonic() >= self.deadline:
            self.stop("its time is up")
        return self._reason

    def tell(self, event: str, *told: Any) -> None:
        """Calls a method of every callback.

        Args:
          event: Its name, such as ``on_episode``.
          *told: What it takes behind the run.
        """
        for metrics in told:
            self.latest |= metrics if isinstance(metrics, Mapping) else {}
        for callback in self._callbacks:
            getattr(callback, event)(self, *told)


class Own(NamedTuple):
    """What a caller adds of their own, see `session.run`."""

    agent: "type[Agent] | None"
    callbacks: Sequence[Callback]
    writers: Sequence[Callable[[pathlib.Path], Writer]]


class StopWhen(Callback):
    """Ends a run at a return, after a time, or when a function says so; see `dreamer_tf.train`."""

    def __init__(self, limit: Any) -> None:
        """Takes what ends it.

        Args:
          limit: A number, a ``datetime.timedelta``, or a function of the `Run`.

        Raises:
          ValueError: If it is none of these.
        """
        is_number = isinstance(limit, numbers.Real) and not isinstance(limit, bool)
        if not (is_number or isinstance(limit, datetime.timedelta) or callable(limit)):
            raise ValueError(
                f"stop: expected a return (a number), a datetime.timedelta or a function of the "
                f"run, got {limit!r}"
            )
        self._limit = limit
        self._returns: collections.deque[float] = collections.deque(maxlen=_EPISODES)

    def on_start(self, run: Run) -> None:
        """Starts the clock, if it is a time."""
        if isinstance(self._limit, datetime.timedelta):
            run.deadline = min(run.deadline, time.monotonic() + self._limit.total_seconds())

    def on_episode(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Looks at the mean of the last episodes, in a run without evaluations."""
        if "train/return" not in metrics:  # The environment died in it.
            return
        self._returns.append(metrics["train/return"])
        if not run.config.run.eval_every and len(self._returns) == _EPISODES:
            self._compare(run, statistics.fmean(self._returns))
        self._ask(run)

    def on_evaluation(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Looks at the mean return."""
        if "eval/return" in metrics:
            self._compare(run, metrics["eval/return"])
        self._ask(run)

    def on_interval(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Asks the function."""
        self._ask(run)

    def _compare(self, run, value):
        if isinstance(self._limit, numbers.Real) and value >= self._limit:
            run.stop(f"the return {value:.4g} has reached {self._limit:g}")

    def _ask(self, run):
        if callable(self._limit) and self._limit(run):
            run.stop("the function that was given as stop says so")


def stop_when(limits: Any) -> list[StopWhen]:
    """The callbacks for what was given as ``stop``: nothing, one limit, or a list of them."""
    if limits is None:
        return []
    return [StopWhen(limit) for limit in (limits if isinstance(limits, list | tuple) else [limits])]
