"""Names of tasks: one spelling for each, and the title that a figure shows."""

import re

# Spellings of other score files -> the name that the task has here.
_ALIASES = {
    "dmc_cup_catch": "dmc_ball_in_cup_catch",
    "atari_james_bond": "atari_jamesbond",
}
_TITLES = {"dmc_ball_in_cup_catch": "Cup Catch"}  # as in the papers
_SUITES = ("dmc", "atari", "crafter", "gymnasium", "gym")
_AGGREGATE = "stats_"


def canonical(task):
    """The name under which scores of a task are gathered, whatever a file calls it."""
    return _ALIASES.get(task, task)


def is_task(name):
    """Whether a name in a score file is a task, not an average that the authors stored beside."""
    return not name.startswith(_AGGREGATE)


def suite(task):
    """The benchmark that a task belongs to: what stands before the first underscore."""
    return task.partition("_")[0]


def title(task):
    """How a figure names a task: ``dmc_walker_walk`` is Walker Walk."""
    if task in _TITLES:
        return _TITLES[task]
    prefix, _, rest = task.partition("_")
    name = rest if prefix in _SUITES and rest else task
    words = re.split(r"[_\s]+", name.rpartition(":")[2])
    return " ".join(word[:1].upper() + word[1:] for word in words)
