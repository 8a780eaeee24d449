"""The charts of a page: which metrics it shows where, and their points as JSON values."""

import dataclasses
import re

import numpy as np

from dreamer_tf.apps.figures.tasks import title

MOST_POINTS = 1000
"""Points of a curve in the page; longer ones are thinned."""

EVALUATION, TRAINING, SPREAD = "eval/return", "train/return", "eval/return_std"
_RETURNS = {EVALUATION: "Evaluation", TRAINING: "Training episodes"}


@dataclasses.dataclass(frozen=True)
class Group:
    """Charts under one heading.

    Attributes:
      name: Identifies it in links.
      title: Heading.
      pattern: Metrics whose names it matches belong here, unless an earlier group has them.
      is_open: Whether the page shows it unfolded.
    """

    name: str
    title: str
    pattern: str
    is_open: bool = True


# A metric belongs to the first group that matches; the agents' names are in docs/metrics.md.
_GROUPS = (
    Group("gradients", "Gradients", r".*_grad_norm|nonfinite", is_open=False),
    Group("losses", "Losses", r"(?!openloop_|explore_).*_loss"),
    Group(
        "model",
        "World model",
        r"kl|(prior|post)_entropy|(?!explore_).*_(mse|huber)|.*_information|openloop_.*"
        r"|feat_rank|harmony_.*|r2_.*|infonce_.*",
    ),
    Group(
        "behaviour",
        "Behaviour in imagination",
        r"(imag|actor|critic|exploration|advantage|return)_.*|advantage|.*_(entropy|randomness)"
        r"|explore_.*",
    ),
    Group("speed", "Speed", r"speed/.*|time/.*|replay/train_ratio", is_open=False),
    Group("memory", "Replay and memory", r"replay/.*|memory/.*", is_open=False),
    Group("episodes", "Episodes", r"(train|eval)/.*", is_open=False),
    Group("other", "Other numbers", r".*", is_open=False),
)
_ORDER = ("losses", "model", "behaviour", "gradients", "episodes", "speed", "memory", "other")


def group_of(name):
    """The `Group` of a metric."""
    return next(group for group in _GROUPS if re.fullmatch(group.pattern, name))


class Plot:
    """The charts of some runs, and the data that the page's program draws them from.

    Attributes:
      returns: List of charts of learning curves.
      groups: List of (`Group`, charts) for all other metrics.
      data: JSON values: ``xs``, lists of env_frames that curves share by index, and ``charts``.
      is_thinned: Whether a curve has more points than the page shows.

    A chart for the template is a dict of its index, heading, and ``last``, the newest value if it
    shows a single run.
    """

    def __init__(self, runs):
        """Takes the runs.

        Args:
          runs: List of `run_folder.Run`.
        """
        self._runs = runs
        self._known_xs = {}
        self.data = {"xs": [], "charts": []}
        self.is_thinned = False
        self.returns = self._learning_curves()
        names = [name for run in runs for name in run.history.series]
        names = [name for name in dict.fromkeys(names) if name not in {*_RETURNS, SPREAD}]
        inside = {group.name: [] for group in _GROUPS}
        for name in names:
            inside[group_of(name).name].append(self._chart(name, name, runs))
        by_name = {group.name: group for group in _GROUPS}
        self.groups = [(by_name[name], inside[name]) for name in _ORDER if inside[name]]

    def _learning_curves(self):
        tasks = dict.fromkeys(run.task for run in self._runs)
        charts = []
        for task in tasks:
            of_task = [run for run in self._runs if run.task == task]
            for name, heading in _RETURNS.items():
                if any(name in run.history.series for run in of_task):
                    heading = heading if len(tasks) == 1 else f"{title(task)}: {heading.lower()}"
                    charts.append(self._chart(name, heading, of_task))
        return charts

    def _chart(self, name, heading, runs):
        curves = []
        for run in runs:
            series = run.history.series.get(name)
            if series is not None:
                spread = run.history.series.get(SPREAD) if name == EVALUATION else None
                curves.append(self._curve(self._runs.index(run), series, spread))
        self.data["charts"].append({"name": name, "curves": curves})
        last = curves[0]["ys"][-1] if len(self._runs) == 1 else None
        return {
            "index": len(self.data["charts"]) - 1,
            "name": name,
            "heading": heading,
            "last": last,
        }

    def _curve(self, run, series, spread):
        kept = thin(series.ys, MOST_POINTS)
        self.is_thinned |= len(kept) < len(series.ys)
        curve = {"run": run, "xs": self._share(series.xs[kept]), "ys": series.ys[kept].tolist()}
        if spread is not None and np.array_equal(spread.xs, series.xs):
            curve["spread"] = spread.ys[kept].tolist()
        return curve

    def _share(self, xs):
        """The index of a list of frames among those that curves share."""
        key = xs.tobytes()
        if key not in self._known_xs:
            self._known_xs[key] = len(self.data["xs"])
            self.data["xs"].append(xs.tolist())
        return self._known_xs[key]


def thin(ys, most):
    """Chooses points of a long curve so that its peaks stay: the extremes of each stretch.

    Args:
      ys: Values, float ``[N]``.
      most: How many to keep, at least 4.

    Returns:
      Rising indices; all of them if there are no more than ``most``.
    """
    if len(ys) <= most:
        return np.arange(len(ys))
    edges = np.linspace(0, len(ys), most // 2, dtype=int)
    kept = {0, len(ys) - 1}
    for start, end in zip(edges, edges[1:], strict=False):
        part = ys[start:end]
        kept |= {start + int(part.argmin()), start + int(part.argmax())}
    return np.array(sorted(kept))
