"""Scores that returns are measured against, so that different tasks can be averaged.

A normalised score is (score − low) / (high − low): 0 is a random policy, 1 the reference.

==========  =====================  ==============================================
tasks       low                    high
==========  =====================  ==============================================
``dmc_*``   0                      1000: the suite's rewards are in [0, 1]
``atari_*`` uniformly random       a professional game tester, see atari_scores.py
others      the user's file        the user's file
==========  =====================  ==============================================
"""

import numbers
import pathlib

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dreamer_tf.apps.figures.atari_scores import ATARI
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.tasks import canonical, suite

_DMC = (0.0, 1000.0)


class References:
    """Low and high reference scores by task."""

    def __init__(self, path=None):
        """Reads the file.

        Args:
          path: YAML or JSON file ``{task: [low, high]}``, or such groups by name, as the authors'
            files are; it goes before what is known here. None: only what is known here.

        Raises:
          FigureError: If the file has another form.
        """
        self._given = {} if path is None else _read(pathlib.Path(path))

    def __contains__(self, task):
        return self._find(task) is not None

    def normalised(self, task, score):
        """A score, or an array of them, between the references of its task.

        Raises:
          FigureError: If the task has none.
        """
        bounds = self._find(task)
        if bounds is None:
            raise FigureError(
                f"{task} has no reference scores, which averaging over tasks needs; give a YAML "
                f"file with {task}: [low, high] to --references, or choose others by --tasks"
            )
        low, high = bounds
        return (score - low) / (high - low)

    def _find(self, task):
        if task in self._given:
            return self._given[task]
        if suite(task) == "dmc":
            return _DMC
        if task in ATARI:
            return ATARI[task].random, ATARI[task].gamer
        return None


def _read(path):
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except (OSError, YAMLError) as error:
        raise FigureError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(tree, dict):
        raise FigureError(f"{path}: expected task: [low, high], got {type(tree).__name__}")
    bounds = {}
    for name, value in tree.items():
        group = value if isinstance(value, dict) else {name: value}
        for task, pair in group.items():
            bounds[canonical(str(task))] = _pair(path, task, pair)
    return bounds


def _pair(path, task, pair):
    fits = isinstance(pair, list) and len(pair) == 2
    if not fits or not all(isinstance(value, numbers.Real) for value in pair):
        raise FigureError(f"{path}: expected {task}: [low, high], got {pair!r}")
    if pair[0] == pair[1]:
        raise FigureError(f"{path}: low and high of {task} are the same, {pair[0]}")
    return float(pair[0]), float(pair[1])
