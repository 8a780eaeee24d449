"""The options of runs: which ones a run reads, and in which ones runs differ."""

import re

from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.tasks import title
from dreamer_tf.common import nearest, short_name
from dreamer_tf.config.moved import MOVED
from dreamer_tf.config.options import text
from dreamer_tf.config.remarks import AGENTS

_LISTED = 5
# What runs of one method may have for themselves, and what says nothing of how they learn.
_NOT_COMPARED = re.compile(
    r"task|seed|logdir|steps|jit|op_threads"
    r"|env\.(workers|count|step_timeout|resume_steps|ray\..*)"
    r"|run\.(checkpoint_\w+|loggers|log_every|video_every|eval_(?!every)\w+|devices|hosts"
    r"|disk_patience|nonfinite_limit|new_task|delete_episodes|start_anew)"
)
# Each seed may begin with a run of its own; without evaluations a score is a training episode's.
_WHETHER = ("run.from_run", "run.eval_every")


def is_of_another(agent, key):
    """Whether an option is one of another agent, which a run with this one does not read.

    Every config holds the options of all agents. An agent of one's own may read any of them.

    Args:
      agent: Name of the run's agent.
      key: Dotted option.
    """
    return agent in AGENTS and key.partition(".")[0] in AGENTS - {agent}


def setting(curve, key):
    """The value that an option had in the run of a curve.

    Raises:
      FigureError: If the curve is not of a run folder, or the run has no such option, or its agent
        does not read it.
    """
    if not curve.settings:
        raise FigureError(
            f"{curve.source} is a score file, which does not tell {key}; give run folders"
        )
    agent = _agent(curve)
    if is_of_another(agent, key):
        own = f"{agent}.{key.partition('.')[2]}"
        hint = f"its own is {own}" if own in curve.settings else "it has none of that name"
        raise FigureError(f"{curve.source} is a run of {agent}, which does not read {key}; {hint}")
    if key not in curve.settings:
        near = nearest(key, curve.settings)
        hint = f"did you mean {' or '.join(near)}?" if near else "see its config.yaml"
        raise FigureError(f"{curve.source} has no option {key!r}; {hint}")
    return curve.settings[key]


def unlike(curves, option="", ignored=()):
    """Notes on runs that count as seeds of one method and were not made alike.

    Options that an older version did not know, or that another agent reads, do not count.

    Args:
      curves: List of `Curve`; those of score files do not tell.
      option: Dotted option over which a figure sweeps; empty: none.
      ignored: Further options that may differ.

    Returns:
      A note for each method and what differs, with the values.
    """
    together = {}
    for curve in curves:
        if curve.settings:
            key = (curve.task, curve.method, repr(curve.settings.get(option)))
            together.setdefault(key, []).append(curve)
    found = {}
    for (task, method, _), alike in together.items():
        differing = _differing(alike, {option, *ignored})
        if differing:
            found.setdefault((method, differing), {})[task] = None
    return [_note(*key, list(tasks)) for key, tasks in found.items()]


def _note(method, differing, tasks):
    where = title(tasks[0]) if len(tasks) == 1 else f"{len(tasks)} tasks"
    shown = [f"{key} ({', '.join(values[:_LISTED])})" for key, values in differing[:_LISTED]]
    if len(differing) > _LISTED:
        shown.append(f"{len(differing) - _LISTED} more")
    key = differing[0][0] if len(differing) == 1 else "OPTION"
    return (
        f"{method} on {where}: runs that count as its seeds differ in {', '.join(shown)}; "
        f"--group_by {key} tells them apart"
    )


def _differing(curves, ignored):
    """The options in which runs differ, each with its values as text."""
    values = {}
    for curve in curves:
        agent = _agent(curve)
        for key, value in curve.settings.items():
            if key in ignored or key in MOVED or _NOT_COMPARED.fullmatch(key):
                continue
            if not is_of_another(agent, key):
                values.setdefault(key, {}).setdefault(_shown(value), value)
    for key in _WHETHER:
        if key in values and len({bool(value) for value in values[key].values()}) == 1:
            del values[key]
    return tuple((key, tuple(shown)) for key, shown in values.items() if len(shown) > 1)


def _agent(curve):
    return short_name(str(curve.settings.get("agent", "")))


def _shown(value):
    return text(tuple(value) if isinstance(value, list) else value) or "''"
