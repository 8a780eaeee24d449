"""Sends what a run measures and films to every writer."""

import logging
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np

from dreamer_tf.common import short_name
from dreamer_tf.config import Config
from dreamer_tf.runs.loggers import LOGGERS
from dreamer_tf.runs.lost import METRICS_NAME
from dreamer_tf.runs.terminal import LiveTerminal, PlainTerminal
from dreamer_tf.runs.videos import VideoFolder, showable
from dreamer_tf.runs.writers import MetricsFile, Scores, TensorBoard, Writer

_LOGGER = logging.getLogger(__name__)


class RunLog(Writer):
    """All writers of one run as one.

    The run's own files and the terminal come first. An error of a file, a full disk for example,
    is told once and ends nothing: what goes there is tried again. A logger of another project, or a
    writer that the caller adds, is a guest: its first error, but for one of a film, is told, and
    the run goes on without it.

    A context manager, which is closed at the end and tells guests whether an error is why.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        config: Config,
        terminal: LiveTerminal | PlainTerminal,
        env_frames: int,
        evaluated: int,
        writers: Sequence[Callable[[pathlib.Path], Writer]] = (),
    ) -> None:
        """Opens all writers.

        Args:
          folder: Run folder.
          config: `Config`.
          terminal: See ``terminal.py``.
          env_frames: Where the run continues.
          evaluated: Where the last evaluation was that its checkpoint knows of, 0 without any;
            later ones were of weights that are lost.
          writers: Functions of the run folder that return a `Writer`, such as its class.
        """
        folder = pathlib.Path(folder)
        self.terminal = terminal
        self._scores = Scores(
            folder / "scores.json",
            task=config.task,
            method=short_name(config.agent),
            seed=config.seed,
            scalar="eval/return" if config.run.eval_every else "train/return",
            until=evaluated if config.run.eval_every else env_frames,
        )
        self._own = [
            MetricsFile(folder / METRICS_NAME),
            *([TensorBoard(folder / "tensorboard")] if "tensorboard" in config.run.loggers else []),
            terminal,
            self._scores,
            VideoFolder(folder / "videos"),
        ]
        self._told: set[Writer] = set()
        named = [LOGGERS[name][1] for name in config.run.loggers if name in LOGGERS]
        self._guests = [_Guest(make, folder, terminal.message) for make in (*named, *writers)]

    @property
    def best_score(self) -> float | None:
        """Highest point of the learning curve so far; None without any."""
        return self._scores.best

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Writes a dict of name to finite number everywhere."""
        self._each("write", env_frames, scalars)

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Writes a video wherever videos are taken, of 1 or 3 channels whatever it has.

        A film is something to look at: where it cannot be written, that is told, and the run goes
        on.
        """
        try:
            frames = showable(frames)
        except ValueError as error:
            self._tell_no_film(env_frames, name, error)
            return
        for writer in self._own:
            try:
                writer.video(env_frames, name, frames, fps)
            except Exception as error:
                # Encoders are other people's code, and a disk may be full.
                self._tell_no_film(env_frames, name, error)
        for guest in self._guests:
            guest.video(env_frames, name, frames, fps)

    def _tell_no_film(self, env_frames, name, error):
        _LOGGER.debug("the film %s failed", name, exc_info=True)
        self.terminal.message(
            f"no film {name} at {env_frames:,} frames ({type(error).__name__}: {error}); "
            f"the run goes on"
        )

    def flush(self) -> None:
        """Brings everything up to date."""
        self._each("flush")

    def close(self) -> None:
        """Closes everything, the callers' writers first: no error of a file is in their way."""
        self._each("close", reverse=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for guest in self._guests:
            guest.failed = raised[0] is not None
        self.close()

    def _each(self, method, *arguments, reverse=False):
        writers = [*self._own, *self._guests]
        for writer in reversed(writers) if reverse else writers:
            try:
                getattr(writer, method)(*arguments)
            except Exception as error:
                if writer is self.terminal:
                    raise
                self._tell_failure(writer, error)

    def _tell_failure(self, writer, error):
        name = type(writer).__name__
        _LOGGER.debug("%s failed", name, exc_info=True)
        if writer not in self._told:
            self._told.add(writer)
            self.terminal.message(
                f"{name} cannot be written ({type(error).__name__}: {_line(error)}); it is tried "
                f"again, and the run goes on"
            )


def _line(error):
    """The first line of an error's text; TensorFlow's have many."""
    return (str(error).splitlines() or [""])[0]


class _Guest(Writer):
    """A caller's writer, whose errors do not end a run."""

    def __init__(self, make, folder, tell):
        self._name = getattr(make, "__name__", type(make).__name__)
        self._tell = tell
        self._lacks_film = False
        self._writer = Writer()  # Does nothing.
        self._try(self._open, make, folder)

    def _open(self, make, folder):
        self._writer = make(folder)

    # What it is asked for is looked up where errors are met: it may lack a method.

    def write(self, env_frames, scalars):
        # A copy: nobody's changes are seen by the next writer.
        self._try(lambda: self._writer.write(env_frames, dict(scalars)))

    def video(self, env_frames, name, frames, fps):
        try:
            self._writer.video(env_frames, name, frames, fps)
        except Exception as error:  # It is something to look at: numbers go on.
            _LOGGER.debug("the writer %s lacks the film %s", self._name, name, exc_info=True)
            if not self._lacks_film:
                self._lacks_film = True
                self._tell(
                    f"the writer {self._name} lacks the film {name} at {env_frames:,} frames "
                    f"({type(error).__name__}: {error}), told once; the run goes on with it"
                )

    def flush(self):
        self._try(lambda: self._writer.flush())

    def close(self):
        writer, self._writer = self._writer, Writer()
        self._try(_end, writer, self.failed)

    def _try(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            _LOGGER.debug("the writer %s failed", self._name, exc_info=True)
            self._tell(
                f"the writer {self._name} failed ({type(error).__name__}: {error}); "
                f"the run goes on without it"
            )
            self._leave()

    def _leave(self):
        """Closes what has failed, as it may still be open elsewhere."""
        writer, self._writer = self._writer, Writer()
        try:
            _end(writer, failed=True)
        except Exception:  # That it failed is told already.
            _LOGGER.debug("the writer %s cannot be closed either", self._name, exc_info=True)


def _end(writer, failed):
    writer.failed = failed
    writer.close()
