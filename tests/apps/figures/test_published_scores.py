"""Our averages of the authors' published scores against the papers' own numbers.

Runs where the variable ``SCORES`` names a folder with the score files of the repositories
danijar/dreamer, danijar/dreamerv2 and danijar/dreamerv3.
"""

import os
import pathlib

import pytest

from dreamer_tf.apps.figures.atari_aggregates import aggregate_curves, aggregates
from dreamer_tf.apps.figures.collection import gather

SCORES = os.environ.get("SCORES")
pytestmark = pytest.mark.skipif(
    not SCORES, reason="SCORES does not name a folder with the authors' published scores"
)


def published(name):
    return pathlib.Path(SCORES) / name


@pytest.mark.parametrize(
    ("aggregate", "paper"),
    [("Gamer median", 2.15), ("Record mean", 0.44), ("Clipped record mean", 0.28)],
)
def test_dreamerv2_at_200m_frames(aggregate, paper):
    """Table 1 of arXiv:2010.02193; its gamer mean is ruled by few games and not compared."""
    collection = gather([published("atari-dreamerv2.json.gz")], methods=["dreamerv2"])
    assert len(collection.tasks) == 55
    frames, values = aggregate_curves(collection, collection.tasks, "dreamerv2")
    assert frames[-1] == 200e6
    assert values[aggregate][-1] == pytest.approx(paper, abs=0.02)


def test_baselines_of_dreamerv2():
    """Table 1 of arXiv:2010.02193: gamer median of the agents that it is compared with."""
    collection = gather([published("atari-dreamerv2.json.gz")], [published("atari-baselines.json")])
    paper = {"rainbow_sticky_2e8": 1.47, "iqn_sticky_2e8": 1.29, "c51_sticky_2e8": 1.09}
    for method, median in paper.items():
        scores = [collection.final(game, method) for game in collection.tasks]
        found = aggregates(collection.tasks, scores)["Gamer median"]
        assert found == pytest.approx(median, abs=0.02), method


def test_d4pg_on_visual_control():
    """Section 6 of arXiv:1912.01603: D4PG reaches 786 on average."""
    collection = gather([published("dreamer-dmc.json")], [published("dreamer-dmc-baselines.json")])
    assert len(collection.tasks) == 20
    scores = [collection.final(task, "d4pg_100m") for task in collection.tasks]
    scores = [score for score in scores if score is not None]
    assert sum(scores) / len(scores) == pytest.approx(786, abs=1)


def test_every_file_of_curves_is_read():
    for path in sorted(pathlib.Path(SCORES).glob("*.json*")):
        if "baselines" not in path.name:
            collection = gather([path])
            assert collection.notes == () and len(collection.runs) >= 90, path
