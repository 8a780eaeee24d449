"""The figures that ``plot`` draws, and the options of each.

Names of options are those of the arguments of the drawing functions.
"""

import argparse
import dataclasses
import importlib
import importlib.util
import math

from dreamer_tf.apps.figures.aggregation import BINS
from dreamer_tf.apps.figures.collection import gather, split_name
from dreamer_tf.apps.figures.drawing import ends_apart
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.run_folders import ACHIEVEMENTS
from dreamer_tf.common.extras import install_hint

_OBJECTIVE = "dreamer.objective"


def count(text):
    """An argument that is a whole number above 0, also written as 1e6 or 1_000_000."""
    value = _number(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text}")
    return int(value)


def index(text):
    """An argument that is a whole number from 0."""
    return 0 if text == "0" else count(text)


def share(text):
    """An argument above 0 and at most 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and at most 1, got {text}")
    return value


def _number(text):
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a number, got {text}") from error
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a finite number, got {text}")
    return value


OPTIONS = {
    # which scores
    "baselines": dict(
        nargs="+",
        default=[],
        metavar="PATH",
        help="score files, or folders of them or of runs, to compare with: learning curves or "
        "final scores {task: {method: score}}; NAME=PATH gives them that method name",
    ),
    "tasks": dict(
        nargs="+", default=[], metavar="TASK", help="only these, such as 'dmc_walker_*' (all)"
    ),
    "methods": dict(nargs="+", default=[], metavar="NAME", help="only these (all)"),
    "group_by": dict(
        default="",
        metavar="KEY",
        help="option of the runs whose value is the method's name, such as dreamer.objective "
        "(the agent's name)",
    ),
    "unfinished": dict(
        action="store_true", help="take runs that have not collected all their frames"
    ),
    "metric": dict(
        default="",
        metavar="NAME",
        help="metric of the runs' metrics.jsonl that is the score, such as train/return; empty: "
        "what scores.json holds, which are evaluations",
    ),
    # how they are drawn
    "bins": dict(
        type=count,
        default=BINS,
        metavar="N",
        help="bins over which curves that share no grid are averaged",
    ),
    "spread": dict(
        choices=("std", "interval", "range", "seeds", "none"),
        default="std",
        help="around the mean over seeds: one standard deviation, the mean's 95%% confidence "
        "interval, lowest to highest, every seed, or nothing",
    ),
    "until": dict(
        type=count,
        metavar="FRAMES",
        help="frames at which the panels end (the end of the longest of the runs)",
    ),
    "summary": dict(
        action="store_true", help="two more panels: mean and median over the tasks (dmc only)"
    ),
    "columns": dict(type=count, metavar="N", help="panels in a row (as many as fit a page)"),
    "at": dict(
        type=count, metavar="FRAMES", help="frames at which final scores are taken (each end)"
    ),
    "window": dict(
        type=share,
        default=0.1,
        metavar="SHARE",
        help="share of a run, at its end, over which its final score is averaged",
    ),
    "option": dict(
        default="dreamer.imag_horizon", metavar="KEY", help="option of the runs to sweep over"
    ),
    "references": dict(
        metavar="FILE",
        help="YAML with task: [low, high] to normalise scores; known are dmc (0 to 1000) and "
        "Atari (random to gamer)",
    ),
    "reps": dict(type=count, default=2000, metavar="N", help="resamples of the bootstrap"),
    "seed": dict(type=index, default=0, metavar="N", help="decides the resamples"),
    # pictures
    "key": dict(default="image", metavar="KEY", help="which image observation"),
    "sequences": dict(type=count, default=1, metavar="N", help="sequences, one below the other"),
    "pictures": dict(
        type=count, default=10, metavar="N", help="most points in time, evenly spaced"
    ),
    "steps": dict(
        type=index, nargs="+", metavar="T", help="which points in time (evenly spaced ones)"
    ),
    "context": dict(
        type=index, default=5, metavar="N", help="first pictures that the model had seen"
    ),
}
_CHOICE = ("tasks", "methods", "group_by", "unfinished")
_SCORES = ("baselines", *_CHOICE, "metric")
_FINAL = ("at", "window")
_BOOTSTRAP = ("references", *_FINAL, "reps", "seed")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
      title: What it shows.
      module: Name of the drawing module, whose `draw` makes it.
      draws: Options of `draw`.
      reads: Options that choose the scores; empty for pictures.
      metric: Metric that is the score of run folders, where it is not among the options.
      defaults: Defaults that differ from those of `OPTIONS`.
      libraries: What it needs of the extra ``figures``.
    """

    title: str
    module: str
    draws: tuple[str, ...]
    reads: tuple[str, ...] = _SCORES
    metric: str = ""
    defaults: dict[str, object] = dataclasses.field(default_factory=dict)
    libraries: tuple[str, ...] = ("matplotlib",)

    @property
    def options(self):
        """Names of all its options."""
        return self.reads + self.draws

    def make(self, arguments):
        """Draws it.

        Args:
          arguments: Parsed command line.

        Returns:
          `Drawing`, with the notes of the reading before its own.

        Raises:
          FigureError: If a library is missing, or the arguments do not make the figure.
        """
        missing = [name for name in self.libraries if importlib.util.find_spec(name) is None]
        if missing:
            raise FigureError(
                f"this figure needs {' and '.join(missing)}: {install_hint('figures')}"
            )
        draw = importlib.import_module(f"dreamer_tf.apps.figures.{self.module}").draw
        chosen = {name: getattr(arguments, name) for name in self.draws}
        if not self.reads:
            if len(arguments.indir) > 1:
                raise FigureError(f"one run or video at a time, got {len(arguments.indir)}")
            return draw(split_name(arguments.indir[0])[1], **chosen)
        reading = {"metric": self.metric}
        reading |= {name: getattr(arguments, name) for name in self.reads}
        option = chosen.get("option", "")
        collection = gather(arguments.indir, option=option, **reading)
        drawing = draw(collection, **chosen)
        told = option or chosen.get("at", 0) is not None  # A swept option has notes of its own.
        ends = () if told else ends_apart(collection)
        return dataclasses.replace(drawing, notes=(*collection.notes, *drawing.notes, *ends))


_STATISTICS = ("matplotlib", "rliable")
_CURVES = ("bins", "spread", "until", "summary", "columns")
KINDS = {
    "curves": Kind(
        "learning curves per task: mean and spread over seeds, baselines beside them",
        "learning_curves",
        _CURVES,
    ),
    "bands": Kind(
        "runs over the band of published seeds, and where they are inside, above and below",
        "bands",
        ("bins", "until", "columns"),
        defaults={"metric": "train/return"},
    ),
    "bars": Kind("final scores per task as bars, and their mean", "bars", _FINAL),
    "representation": Kind(
        "learning curves by representation objective",
        "learning_curves",
        _CURVES,
        defaults={"group_by": _OBJECTIVE},
    ),
    "horizon": Kind(
        "final scores over the imagination horizon, or over another option",
        "horizon",
        ("option", *_FINAL, "spread", "columns"),
    ),
    "openloop": Kind(
        "open-loop prediction of a run as a strip of pictures: truth, model, error",
        "open_loop",
        ("key", "sequences", "pictures", "steps", "context"),
        reads=(),
    ),
    "achievements": Kind(
        "success rates of Crafter's achievements, and the benchmark's score",
        "achievements",
        _FINAL,
        reads=_CHOICE,
        metric=ACHIEVEMENTS,
        defaults={"window": 1.0},
    ),
    "atari": Kind(
        "Atari aggregates over frames: gamer median and mean, record mean, clipped record mean",
        "atari",
        ("bins", "until"),
    ),
    "iqm": Kind(
        "interquartile mean, median, mean and optimality gap with bootstrap intervals",
        "reliability",
        _BOOTSTRAP,
        libraries=_STATISTICS,
    ),
    "profiles": Kind(
        "performance profiles with bootstrap bands", "profiles", _BOOTSTRAP, libraries=_STATISTICS
    ),
    "improvement": Kind(
        "probability of improvement over other methods",
        "improvement",
        _BOOTSTRAP,
        libraries=_STATISTICS,
    ),
}
