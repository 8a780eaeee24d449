"""Where lines, panels and scores end, of curves that are not equally long."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason='matplotlib is missing: pip install "dreamer-tf[figures]"')

from dreamer_tf.apps.figures import atari, horizon, learning_curves
from dreamer_tf.apps.figures.collection import Collection
from tests.apps.figures.drawn import XS, color, curve, drawn_lines, panels, swept


def test_a_baseline_that_is_longer_lies_beside_the_runs():
    """The same function of frames, off a common grid, and ten times as long."""
    xs = np.arange(1.0, 301) * 7 / 3
    runs = tuple(curve(task, xs=xs, ys=xs) for task in ("dmc_a", "dmc_b"))
    long = tuple(
        curve(task, "sac", xs=np.arange(1.0, 3001) * 2.31, ys=np.arange(1.0, 3001) * 2.31)
        for task in ("dmc_a", "dmc_b")
    )
    drawing = learning_curves.draw(Collection(runs, long), bins=20, summary=True)
    assert len(drawing.figure.axes) == 4
    for axis in drawing.figure.axes:
        lines, _ = drawn_lines(axis)
        one, other = lines[color("dreamer")], lines[color("sac")]
        np.testing.assert_allclose(one.get_xdata(), other.get_xdata())
        np.testing.assert_allclose(one.get_ydata(), other.get_ydata(), atol=5)
    games = ("atari_pong", "atari_breakout")
    runs = tuple(dataclasses.replace(runs[0], task=game) for game in games)
    long = tuple(dataclasses.replace(long[0], task=game) for game in games)
    drawing = atari.draw(Collection(runs, long), bins=20)
    lines, _ = drawn_lines(panels(drawing)["Gamer median"])
    one, other = lines[color("dreamer")], lines[color("sac")]
    np.testing.assert_allclose(one.get_xdata(), other.get_xdata())
    np.testing.assert_allclose(one.get_ydata(), other.get_ydata(), atol=0.3)
    assert [line.split()[1] for line in drawing.text.splitlines()[2:]] == ["700", "700"]


def test_a_method_without_a_point_in_the_panel_is_told():
    xs = np.arange(1.0, 201) * 10
    early, late = curve(method="sac", xs=xs, ys=xs), curve(method="slac", xs=xs + 100, ys=xs)
    drawing = learning_curves.draw(Collection((curve(),), (early, late)), summary=True)
    lines, _ = drawn_lines(drawing.figure.axes[0])
    assert lines[color("sac")].get_xdata().tolist() == XS.tolist()
    assert color("slac") not in lines
    assert drawing.notes[0] == (
        "left out: slac on Walker Walk has no point up to 100 frames; it begins at 110"
    )
    assert "no task mean of slac" in drawing.notes[1] and len(drawing.notes) == 2
    late = tuple(dataclasses.replace(late, task=task) for task in ("atari_pong",))
    drawing = atari.draw(Collection((curve("atari_pong"),), late))
    assert drawing.notes == ("left out: slac has no frames up to 100 in all games",)


def test_panels_and_summary_end_where_fewer_than_half_of_the_seeds_go_on():
    seeds = [curve(task, seed=n) for task in ("dmc_a", "dmc_b") for n in range(5)]
    for i in (0, 1, 2, 3, 5, 6, 7, 8):
        seeds[i] = dataclasses.replace(seeds[i], xs=XS[:4], ys=np.full(4, 9.0))
    for until in (None, 100):
        drawing = learning_curves.draw(Collection(tuple(seeds)), bins=20, until=until, summary=True)
        ends = [drawn_lines(a)[0][color("dreamer")].get_xdata()[-1] for a in drawing.figure.axes]
        assert ends == [40] * 4


def test_a_game_with_few_seeds_left_at_the_end_is_told():
    seeds = [curve("atari_pong", seed=n) for n in range(5)]
    seeds[:3] = [dataclasses.replace(c, xs=XS[:4], ys=c.ys[:4]) for c in seeds[:3]]
    runs = (*seeds, curve("atari_breakout"))
    [note] = atari.draw(Collection(runs), bins=10).notes
    assert "dreamer: fewer than half of the seeds come to the end of its line in Pong" in note
    assert atari.draw(Collection(runs), bins=10, until=40).notes == ()


def test_a_sweep_says_which_values_are_of_fewer_frames():
    curves = [*swept([15, 5])]
    assert horizon.draw(Collection(tuple(curves))).notes == ()
    curves[2:] = [dataclasses.replace(c, xs=XS[:6], ys=c.ys[:6]) for c in curves[2:]]
    longer = curve(method="sac", xs=4 * XS)
    [note] = horizon.draw(Collection(tuple(curves), (longer,))).notes
    assert note == (
        "Walker Walk: scores are of unlike numbers of frames, dreamer with imag_horizon 5 at 60, "
        "dreamer with imag_horizon 15 at 100; --at 60 compares them after as many"
    )
    assert horizon.draw(Collection(tuple(curves)), at=60).notes == ()
