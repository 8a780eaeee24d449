"""What is not alike among the curves and scores of a figure: refused, or said to the user."""

from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.palette import rank
from dreamer_tf.apps.figures.run_folders import FRAMES, UPDATES

EVALUATED = "run.eval_every"
"""The option that says whether a run is evaluated: ``scores.json`` has its evaluations then."""


def unlike_scores(chosen, metric):
    """A note if evaluations are compared with score files, which may be something else."""
    if metric and not metric.startswith("eval/"):
        return []
    sides = [
        (
            {curve.method for curve in side if curve.settings and curve.settings.get(EVALUATED, 1)},
            {curve.method for curve in side if not curve.settings},
        )
        for side in (chosen.runs, chosen.others)
    ]
    (ours, files), (beside, published) = sides
    evaluated = (ours if published else set()) | (beside if files else set())
    if not evaluated:
        return []
    return [
        f"the curves of {', '.join(sorted(evaluated, key=rank))} are evaluations, with the mode "
        f"action; if the score files are returns of training episodes, as DreamerV3's are, "
        f"--metric train/return compares alike"
    ]


def common_unit(chosen, units, notes):
    """The unit of all runs.

    Args:
      chosen: `Collection`.
      units: Dict of run folder to its unit.
      notes: List that receives a note if there are score files beside runs that count updates.

    Raises:
      FigureError: If they have different ones.
    """
    first = {}
    for curve in chosen.curves:
        if curve.source in units:
            first.setdefault(units[curve.source], curve)
    if len(first) > 1:
        raise FigureError(
            f"nothing acts in {first[UPDATES].source}, so that it counts updates, and "
            f"{first[FRAMES].source} counts frames: draw them apart, each with its like"
        )
    if UPDATES in first and any(not curve.settings for curve in chosen.curves):
        notes.append(
            "the runs count updates, for nothing acts in them; score files do not tell what they "
            "count, which are frames as a rule"
        )
    return next(iter(first), FRAMES)


def refuse_twins(curves, option=""):
    """Refuses two curves that have the same task, method, seed and value of the option."""
    first = {}
    for curve in curves:
        value = repr(curve.settings.get(option))  # A list, say.
        key = (curve.task, curve.method, curve.seed, value)
        if key in first:
            _refuse_two_of_a_name(first[key], curve)
            raise FigureError(
                f"two curves of {curve.method} on {curve.task} with seed {curve.seed}: in "
                f"{first[key].source} and in {curve.source}. Tell them apart by --group_by OPTION, "
                f"or name them: --indir NAME={first[key].source} OTHER={curve.source}"
            )
        first[key] = curve


def refuse_twin_finals(finals):
    """Refuses two final scores of a method on a task."""
    first = {}
    for final in finals:
        other = first.setdefault((final.task, final.method), final)
        if other is final:
            continue
        _refuse_two_of_a_name(other, final)
        if other.source == final.source:
            raise FigureError(
                f"{final.source} has two final scores of {final.method} on {final.task}, under two "
                f"names of the task: take one out"
            )
        raise FigureError(
            f"two final scores of {final.method} on {final.task}: in {other.source} and in "
            f"{final.source}. Name them: --baselines NAME={other.source} OTHER={final.source}"
        )


def _refuse_two_of_a_name(one, other):
    """Refuses two scores that only the user gave one name."""
    if one.algorithm != other.algorithm:
        files = " and ".join(dict.fromkeys([str(one.source), str(other.source)]))
        methods = " and ".join(score.algorithm or score.method for score in (one, other))
        raise FigureError(
            f"several methods stand in {files}, and {methods} cannot both be {one.method}: give "
            f"it without a name, and choose by --methods"
        )
