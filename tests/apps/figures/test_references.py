"""Reference scores, and the Atari aggregates made with them."""

import numpy as np
import pytest

from dreamer_tf.apps.figures.atari_aggregates import aggregates
from dreamer_tf.apps.figures.atari_scores import ATARI
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.references import References


def test_control_scores_are_shares_of_the_highest_return():
    known = References()
    np.testing.assert_allclose(known.normalised("dmc_walker_walk", np.array([0, 500])), [0, 0.5])


def test_atari_scores_lie_between_random_play_and_a_gamer():
    known = References()
    for game, scores in ATARI.items():
        assert game in known
        assert known.normalised(game, scores.random) == 0
        assert known.normalised(game, scores.gamer) == 1


def test_the_benchmark_has_57_games_and_records_beat_gamers():
    assert len(ATARI) == 57
    assert all(game.startswith("atari_") for game in ATARI)
    assert all(scores.gamer > scores.random for scores in ATARI.values())
    records = {game: s for game, s in ATARI.items() if s.record is not None}
    assert len(records) == 56
    assert all(scores.record > scores.gamer for scores in records.values())


def test_a_file_adds_references_and_goes_before_those_known(tmp_path):
    path = tmp_path / "references.yaml"
    path.write_text("group:\n  dmc_cup_catch: [100, 200]\nmaze: [-1, 3]\n")
    known = References(path)
    assert known.normalised("dmc_ball_in_cup_catch", 150) == 0.5
    assert known.normalised("maze", 3) == 1
    assert known.normalised("dmc_walker_walk", 1000) == 1


def test_a_task_without_references_is_refused():
    assert "maze" not in References()
    with pytest.raises(FigureError, match="--references"):
        References().normalised("maze", 1.0)


@pytest.mark.parametrize(
    "text", ["- 1", "maze: 3", "maze: [1]", "maze: [1, 1]", "maze: [a, 2]", "maze: [", "x: {y: 3}"]
)
def test_a_wrong_file_is_refused(tmp_path, text):
    path = tmp_path / "references.yaml"
    path.write_text(text)
    with pytest.raises(FigureError, match=r"references\.yaml"):
        References(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FigureError, match="cannot be read"):
        References(tmp_path / "nowhere.yaml")


def test_aggregates_of_two_games_by_hand():
    # Pong: random -20.7, gamer 14.6, record 21; Breakout: 1.7, 30.5, 864.
    found = aggregates(["atari_pong", "atari_breakout"], [[21.0], [1.7 + 2 * 28.8]])
    pong, breakout = 41.7 / 35.3, 2.0
    assert found["Gamer median"][0] == pytest.approx((pong + breakout) / 2)
    assert found["Gamer mean"][0] == pytest.approx((pong + breakout) / 2)
    assert found["Record mean"][0] == pytest.approx((1 + 57.6 / 862.3) / 2)
    above = aggregates(["atari_pong", "atari_breakout"], [21.0, 5000.0])
    assert above["Clipped record mean"] == pytest.approx(1)
    assert above["Record mean"] > 3


def test_a_game_without_a_record_counts_for_the_gamer_only():
    assert ATARI["atari_surround"].record is None
    found = aggregates(["atari_surround", "atari_pong"], [6.5, 21.0])
    assert found["Gamer mean"] == pytest.approx((1 + 41.7 / 35.3) / 2)
    assert found["Record mean"] == pytest.approx(1)
    with pytest.raises(FigureError, match="Surround"):
        aggregates(["atari_surround"], [6.5])
