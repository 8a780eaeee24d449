"""What a drawing module returns, and what several of them need of a collection."""

import dataclasses
import typing

from dreamer_tf.apps.figures.aggregation import final_scores, line_end
from dreamer_tf.apps.figures.collection import setting
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.tasks import title

_NAMED = 8


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure and what goes with it.

    Attributes:
      figure: matplotlib `Figure`.
      text: The numbers in it as a table, for the terminal.
      notes: What was left out and why.
    """

    figure: typing.Any
    text: str = ""
    notes: tuple[str, ...] = ()


def common_tasks(collection, methods, notes):
    """The tasks on which all of the methods have curves.

    Args:
      collection: `Collection`.
      methods: Names of methods.
      notes: List that receives a note about tasks that are left out.

    Raises:
      FigureError: If there is no such task.
    """
    common = [
        task for task in collection.tasks if all(collection.of(task, name) for name in methods)
    ]
    if not common:
        raise FigureError(f"no task has curves of all methods ({', '.join(methods)})")
    left = [task for task in collection.tasks if task not in common]
    if left:
        notes.append(
            f"averaged over {len(common)} tasks; not over {named(left)}: not all "
            f"methods have curves there"
        )
    return common


def panel_ends(collection, tasks, until):
    """Where a panel ends, and where the bins of its lines do.

    Args:
      collection: `Collection`.
      tasks: The tasks over which the lines of the panel go.
      until: Frames at which it shall end; None: with the longest line of the runs.

    Returns:
      Frames at which the panel ends; the same or, if all lines end before, where the longest does:
      so many frames are cut into bins.
    """

    def longest(methods):
        found = [[collection.of(task, method) for task in tasks] for method in methods]
        return max(min(map(line_end, by_task)) for by_task in found if all(by_task))

    end = until or longest(collection.own)
    return end, min(end, longest(collection.methods))


def finals(curves, at, window, notes):
    """The final scores of the seeds of one method on one task, ``[S]``; see `final_scores`.

    Args:
      curves: List of `Curve`.
      at: Frames at which the scores are taken; None: where the longest seed ends.
      window: Share of these frames over which points are averaged.
      notes: List that receives a note about seeds that ended before.
    """
    scores = final_scores(curves, at, window)
    if len(scores) < len(curves):
        ended = len(curves) - len(scores)
        where = f"{curves[0].method} on {title(curves[0].task)}"
        notes.append(f"{where}: {ended} of {len(curves)} seeds ended early and are left out")
    return scores


def ends_apart(collection, option=""):
    """A note on scores that are compared where each ends, if these are not the same frames.

    Args:
      collection: `Collection`.
      option: Dotted option of the runs whose values are compared; empty: methods alone are.

    Returns:
      The note in a tuple, about the first task of which it holds; an empty one: there is none.
    """
    for task in collection.tasks:
        ends = {}
        for method in collection.own if option else collection.methods:
            curves = collection.of(task, method)
            if option:
                curves = sorted(curves, key=lambda curve: setting(curve, option))
            for curve in curves:
                name = method
                if option:
                    name += f" with {option.rpartition('.')[2]} {setting(curve, option)}"
                ends[name] = max(ends.get(name, 0), curve.end)
        # A hundredth: the last episodes of two runs do not end at the same frame.
        if min(ends.values()) < 0.99 * max(ends.values()):
            where = ", ".join(f"{name} at {end:,.0f}" for name, end in ends.items())
            return (
                f"{title(task)}: scores are of unlike numbers of frames, {where}; "
                f"--at {min(ends.values()):.0f} compares them after as many",
            )
    return ()


def named(tasks):
    """Tasks as a text that stays short."""
    titles = [title(task) for task in tasks[:_NAMED]]
    more = f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else ""
    return ", ".join(titles) + more


def table(header, rows):
    """A table as text: the first column to the left, the others to the right."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return "\n".join(lines)


def mean_and_spread(scores, digits=0):
    """Mean and standard deviation of several scores as a cell of a table."""
    if not len(scores):
        return "–"
    spread = f" ± {scores.std():.{digits}f}" if len(scores) > 1 else ""
    return f"{scores.mean():.{digits}f}{spread}"
