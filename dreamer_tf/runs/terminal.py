"""What a run shows while it goes on: a live bar on a terminal, plain lines elsewhere."""

import contextlib
import logging
import os
import shutil
import sys
import time

from rich import live, progress
from rich.console import Console, Group
from rich.text import Text

from dreamer_tf.common import rounded, wrapped
from dreamer_tf.runs.forecast import TimeLeft
from dreamer_tf.runs.writers import Writer

# As words around the number, in the order in which they matter where not all fit into a line.
_SHOWN = {
    "train/return": "return {}",
    "eval/return": "eval {}",
    "speed/frames": "{} frames a second",
    "left": "left {}",
    "speed/updating": "{} updates a second",
}
_LOSSES_SHOWN = 4
_BAR_WIDTH = 20
_QUIET_SECONDS = 60
_LOGGER = logging.getLogger(__name__)


def open_terminal(total, stream=None, on_closed=lambda: None):
    """Chooses how to show progress.

    Args:
      total: env_frames of the whole run.
      stream: Where to write; None: stdout.
      on_closed: Function without arguments, called once if the reader of a pipe is gone.

    Returns:
      A `LiveTerminal` if the stream is a terminal, else a `PlainTerminal`.
    """
    stream = Output(sys.stdout if stream is None else stream, on_closed)
    return LiveTerminal(total, stream) if stream.isatty() else PlainTerminal(total, stream)


class Output:
    """A text stream that may be lost: from then on what is written is dropped, and nothing raised.

    A terminal that is gone, or a full disk behind ``>``, so ends no run. A pipe that nobody reads
    any more (``| head``) is told.
    """

    def __init__(self, stream, on_closed):
        """Wraps a stream.

        Args:
          stream: Where to write.
          on_closed: Function without arguments, called once if the reader of a pipe is gone.
        """
        self._stream = stream
        self._on_closed = on_closed
        self._lost = False

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Writes a text, or drops it; returns its length."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self):
        """Flushes, unless the stream is lost."""
        self._try(self._stream.flush)

    def _try(self, function, *arguments):
        if self._lost:
            return
        try:
            function(*arguments)
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and not self._stream.closed:
                raise
            self._lose(error)

    def _lose(self, error):
        self._lost = True
        # What is buffered would raise again, at the latest when Python ends.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            _LOGGER.warning("nobody reads the output any more: finishing the step, then saving")
            self._on_closed()
        else:
            _LOGGER.warning("the output cannot be written (%s): the run goes on unseen", error)


class LiveTerminal(Writer):
    """A progress bar and a line of metrics that stay in place, with messages above them.

    Attributes:
      left: `TimeLeft` of the run.
    """

    def __init__(self, total, stream):
        """Shows nothing before it is entered.

        Args:
          total: env_frames of the whole run.
          stream: A terminal.
        """
        self._progress = progress.Progress(
            progress.TextColumn("{task.completed:,.0f} / {task.total:,.0f}"),
            progress.BarColumn(_BAR_WIDTH),
            progress.TaskProgressColumn(),
            progress.TextColumn("left {task.fields[left]}"),
            progress.TextColumn("{task.fields[activity]}"),
        )
        self._task = self._progress.add_task("", total=total, activity="starting", left="?")
        self._text = Text(no_wrap=True, overflow="ellipsis")
        self._live = live.Live(
            Group(self._progress, self._text), console=Console(file=stream), refresh_per_second=4
        )
        self.left = TimeLeft(total)
        self._summary = _Summary()

    def __enter__(self):
        self._live.start()
        return self

    def __exit__(self, *_):
        self._live.stop()

    def message(self, text):
        """Prints a text above the bar, in lines that fit."""
        text = wrapped(text, self._live.console.width)
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, env_frames, activity):
        """Shows how far the run is and what it does."""
        self._progress.update(self._task, completed=env_frames, activity=activity)

    def write(self, env_frames, scalars):
        """Shows the metrics of an interval or an episode."""
        self._summary.update(scalars)
        if "speed/frames" in scalars:
            self.left.mark(env_frames)
        self._progress.update(self._task, left=str(self.left))
        self._text.plain = self._summary.line([], self._live.console.width)


class PlainTerminal(Writer):
    """One line per interval, and one a minute where an interval is long.

    Attributes:
      left: `TimeLeft` of the run.
    """

    def __init__(self, total, stream, now=time.monotonic):
        """Writes nothing yet.

        Args:
          total: env_frames of the whole run.
          stream: Where to write.
          now: Function that tells the time in seconds.
        """
        self._total = total
        self._stream = stream
        self._now = now
        self._printed = now()
        self.left = TimeLeft(total, now)
        self._summary = _Summary()
        self._width = shutil.get_terminal_size().columns  # COLUMNS, or 80 without a terminal

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def message(self, text):
        """Prints a text in lines that fit."""
        print(wrapped(text, self._width), file=self._stream, flush=True)
        self._printed = self._now()

    def advance(self, env_frames, activity):
        """Prints a line if there was none for a minute."""
        if self._now() - self._printed >= _QUIET_SECONDS:
            self.message(f"{self._place(env_frames)}  {activity}")

    def write(self, env_frames, scalars):
        """Prints the line of an interval; an episode's metrics wait for it."""
        self._summary.update(scalars)
        if "speed/frames" in scalars:
            self.left.mark(env_frames)
            self._summary.update({"left": str(self.left)})
            self.message(self._summary.line([self._place(env_frames)], self._width))

    def _place(self, env_frames):
        return f"{env_frames:,} / {self._total:,}"


class _Summary:
    """The latest of the few metrics that a glance should show."""

    def __init__(self):
        self._latest = {}
        self._losses = []

    def update(self, metrics):
        self._latest.update(metrics)
        # Agents name the parts of a loss before their sum.
        self._losses = [key for key in self._latest if key.endswith("_loss")][-_LOSSES_SHOWN:]

    def line(self, parts, width):
        """The parts and as many of the metrics behind them, whole, as fit into a line.

        Args:
          parts: Texts that come first.
          width: Characters of a line.
        """
        names = _SHOWN | {key: f"{key} {{}}" for key in self._losses}
        line = "  ".join(parts)
        for key, words in names.items():
            if key in self._latest:
                value = self._latest[key]
                shown = words.format(value if isinstance(value, str) else rounded(value))
                longer = f"{line}  {shown}" if line else shown
                if len(longer) > width:
                    break
                line = longer
        return line
