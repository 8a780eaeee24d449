"""What a run shows while it goes on: a live bar on a terminal, plain lines elsewhere."""

import collections
import shutil
import sys
import time

from rich import live, progress
from rich.console import Console, Group
from rich.text import Text

from dreamer_tf.common import rounded, wrapped
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


def open_terminal(total, stream=None):
    """Chooses how to show progress.

    Args:
      total: env_frames of the whole run.
      stream: Where to write; None: stdout.

    Returns:
      A `LiveTerminal` if the stream is a terminal, else a `PlainTerminal`.
    """
    stream = sys.stdout if stream is None else stream
    return LiveTerminal(total, stream) if stream.isatty() else PlainTerminal(total, stream)


class TimeLeft:
    """Estimates the time to the end from the last intervals."""

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

    def mark(self, env_frames):
        """Notes how far the run has come."""
        self._marks.append((env_frames, self._now()))

    def restart(self):
        """Forgets the marks: from here on the run has another speed."""
        self._marks.clear()

    def __str__(self):
        """The estimate as ``1:02:03``, or ``?`` before the second mark."""
        if len(self._marks) < 2 or self._marks[-1][0] <= self._marks[0][0]:
            return "?"
        (frames, start), (last, end) = self._marks[0], self._marks[-1]
        seconds = (self._total - last) * (end - start) / (last - frames)
        minutes, second = divmod(max(0, round(seconds)), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


class LiveTerminal(Writer):
    """A progress bar and a line of metrics that stay in place, with messages above them."""

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
        self._left = TimeLeft(total)
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

    def phase(self, text):
        """Announces that the run goes on at another speed from here."""
        self._left.restart()
        self.message(text)

    def write(self, env_frames, scalars):
        """Shows the metrics of an interval or an episode."""
        self._summary.update(scalars)
        if "speed/frames" in scalars:
            self._left.mark(env_frames)
        self._progress.update(self._task, left=str(self._left))
        self._text.plain = self._summary.line([], self._live.console.width)


class PlainTerminal(Writer):
    """One line per interval, and one a minute where an interval is long."""

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
        self._left = TimeLeft(total, now)
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

    def phase(self, text):
        """Announces that the run goes on at another speed from here."""
        self._left.restart()
        self.message(text)

    def write(self, env_frames, scalars):
        """Prints the line of an interval; an episode's metrics wait for it."""
        self._summary.update(scalars)
        if "speed/frames" in scalars:
            self._left.mark(env_frames)
            self._summary.update({"left": str(self._left)})
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
