"""What stands in the figures."""

import dataclasses
import itertools

import imageio.v3 as imageio
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason='matplotlib is missing: pip install "dreamer-tf[figures]"')

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from dreamer_tf.apps.figures import atari, bars, canvas, horizon, learning_curves, open_loop
from dreamer_tf.apps.figures.atari_aggregates import AGGREGATES
from dreamer_tf.apps.figures.atari_scores import ATARI
from dreamer_tf.apps.figures.collection import Collection
from dreamer_tf.apps.figures.errors import FigureError
from tests.apps.figures.drawn import XS, color, curve, drawn_lines, final, panels, swept
from tests.apps.figures.runs import prediction, run_folder

DMC20 = [
    *("acrobot_swingup", "ball_in_cup_catch", "cartpole_balance", "cartpole_balance_sparse"),
    *("cartpole_swingup", "cartpole_swingup_sparse", "cheetah_run", "finger_spin"),
    *("finger_turn_easy", "finger_turn_hard", "hopper_hop", "hopper_stand", "pendulum_swingup"),
    *("quadruped_run", "quadruped_walk", "reacher_easy", "reacher_hard", "walker_run"),
    *("walker_stand", "walker_walk"),
]


def overlaps(figure):
    """What leaves the page, and legends that cover a panel."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    used = figure.get_tightbbox(renderer)
    width, height = figure.get_size_inches()
    margin = 0.01  # inches
    found = []
    if used.x0 < -margin or used.y0 < -margin:
        found.append(f"beyond the left or lower edge: {used}")
    if used.x1 > width + margin or used.y1 > height + margin:
        found.append(f"beyond the right or upper edge: {used}")
    for legend in figure.legends:
        for axis in figure.axes:
            if legend.get_window_extent().overlaps(axis.get_tightbbox()):
                found.append(f"legend over {axis.get_title()}")
    labels = [text for axis in figure.axes for text in numbers_below(axis)]
    # Slanted ones have boxes that overlap though their letters do not.
    boxes = [
        (text.get_text(), text.get_window_extent()) for text in labels if not text.get_rotation()
    ]
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        if one.padded(1).overlaps(other.padded(1)):
            found.append(f"{first} touches {second}")
    return found


def numbers_below(axis):
    """The labels of the horizontal axis that are drawn."""
    low, high = axis.get_xlim()
    found = [text for text in axis.get_xticklabels() if low <= text.get_position()[0] <= high]
    return [text for text in found if text.get_text()]


# ------------------------------------------------------------------ learning curves


def test_a_curve_is_the_mean_of_the_seeds_in_the_colour_of_its_method():
    runs = (curve(ys=XS), curve(seed=1, ys=3 * XS))
    sac = (curve(method="sac", ys=4 * XS),)
    drawing = learning_curves.draw(
        Collection(runs, sac, (final("planet", 70.0), final("d4pg", 90.0, "dmc_hopper_hop")))
    )
    [axis] = drawing.figure.axes
    lines, levels = drawn_lines(axis)
    np.testing.assert_allclose(lines[color("dreamer")].get_ydata(), 2 * XS)
    np.testing.assert_allclose(lines[color("sac")].get_ydata(), 4 * XS)
    assert levels == {color("planet"): 70}
    [band] = [
        c for c in axis.collections if to_hex(c.get_facecolor()[0]).upper() == color("dreamer")
    ]
    edge = band.get_paths()[0].vertices
    assert edge[:, 1].max() == pytest.approx(300) and edge[:, 1].min() == pytest.approx(10)
    assert axis.get_title() == "Walker Walk"
    [legend] = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Dreamer", "SAC", "PlaNet", "D4PG"]


@pytest.mark.parametrize(
    ("spread", "bands", "lines"),
    [("std", 1, 1), ("interval", 1, 1), ("range", 1, 1), ("seeds", 0, 3), ("none", 0, 1)],
)
def test_the_spread_is_chosen(spread, bands, lines):
    runs = (curve(ys=XS), curve(seed=1, ys=4 * XS))
    [axis] = learning_curves.draw(Collection(runs), spread=spread).figure.axes
    assert len(axis.collections) == bands and len(axis.get_lines()) == lines
    if spread == "range":
        edge = axis.collections[0].get_paths()[0].vertices
        assert edge[:, 1].max() == pytest.approx(400) and edge[:, 1].min() == pytest.approx(10)


def test_markers_at_the_edge_are_whole_and_numbers_of_neighbours_apart():
    ys = np.where(XS < 100, 0, 1000)  # at the lower edge, and in the upper right corner
    runs = tuple(curve(f"dmc_{name}", ys=ys, xs=1000 * XS) for name in "abcdefgh")
    for end in (100_000, 366_000):
        figure = learning_curves.draw(Collection(runs), until=end).figure
        assert overlaps(figure) == []
        assert not [line for axis in figure.axes for line in axis.lines if line.get_clip_on()]
        assert len(numbers_below(figure.axes[0])) >= 3, "two numbers make no axis"


def test_a_figure_says_what_it_shows():
    runs = (curve(ys=XS), curve("dmc_hopper_hop", seed=1, ys=3 * XS))
    first, second = canvas.contents(learning_curves.draw(Collection(runs)).figure)
    assert [first["title"], second["title"]] == ["Hopper Hop", "Walker Walk"]
    assert first["lines"] == [["Dreamer", XS.tolist(), (3 * XS).tolist()]]
    [panel] = canvas.contents(bars.draw(Collection(runs)).figure)
    assert [bar[0] for bar in panel["bars"]] == ["Dreamer"] * 3
    assert [bar[2][1] for bar in panel["bars"]] == [300, 100, 200]


def test_panels_end_where_the_runs_end_unless_told():
    long = (curve(method="sac", xs=4 * XS),)
    [axis] = learning_curves.draw(Collection((curve(),), long)).figure.axes
    assert axis.get_xlim() == (0, 100)
    np.testing.assert_allclose(drawn_lines(axis)[0][color("sac")].get_xdata(), [40, 80, 100])
    [axis] = learning_curves.draw(Collection((curve(),), long), until=555).figure.axes
    assert axis.get_xlim() == (0, 560)


def test_a_summary_is_the_mean_and_the_median_over_the_common_tasks():
    runs = tuple(
        curve(f"dmc_{name}", ys=np.full(10, y))
        for name, y in (("a", 0.0), ("b", 100.0), ("c", 800.0), ("d", 999.0))
    )
    sac = tuple(curve(f"dmc_{name}", "sac", ys=np.full(10, 7.0)) for name in "abc")
    drawing = learning_curves.draw(Collection(runs, sac), bins=5, summary=True)
    shown = panels(drawing)
    assert list(shown) == ["A", "B", "C", "D", "Task mean", "Task median"]
    mean, _ = drawn_lines(shown["Task mean"])
    median, _ = drawn_lines(shown["Task median"])
    np.testing.assert_allclose(mean[color("dreamer")].get_ydata(), 300)
    np.testing.assert_allclose(median[color("dreamer")].get_ydata(), 100)
    np.testing.assert_allclose(mean[color("sac")].get_ydata(), 7)
    assert "not over D" in drawing.notes[0]


def test_returns_of_different_scales_are_not_averaged():
    with pytest.raises(FigureError, match="--figure atari"):
        learning_curves.draw(Collection((curve("atari_pong"),)), summary=True)


def test_a_page_of_panels_fits_the_page():
    runs = tuple(curve(f"dmc_{task}", seed=seed) for task in DMC20 for seed in range(2))
    names = ["planet_1e6", "d4pg_100m", "a3c_100m_proprio", "slac_3e6"]
    finals = tuple(final(name, 500.0, f"dmc_{task}") for task in DMC20 for name in names)
    figure = learning_curves.draw(Collection(runs, (), finals)).figure
    assert figure.get_figwidth() == canvas.PAGE_WIDTH
    assert overlaps(figure) == []


@pytest.mark.parametrize("tasks", [1, 2, 3, 7])
def test_few_panels_are_laid_out_without_overlaps(tasks):
    runs = tuple(curve(f"dmc_{task}") for task in DMC20[:tasks])
    others = tuple(curve(f"dmc_{task}", "a quite long name of a method") for task in DMC20[:tasks])
    assert overlaps(learning_curves.draw(Collection(runs, others)).figure) == []


# ----------------------------------------------------------------------------- bars


def test_bars_are_final_means_and_the_last_group_is_their_mean():
    runs = (
        *(curve("dmc_a", seed=seed, ys=np.full(10, y)) for seed, y in ((0, 100.0), (1, 300.0))),
        curve("dmc_b", ys=np.full(10, 400.0)),
    )
    finals = (final("planet", 500.0, "dmc_a"), final("planet", 700.0, "dmc_b"))
    drawing = bars.draw(Collection(runs, (), finals))
    [axis] = drawing.figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["A", "B", "Mean"]
    heights = [round(patch.get_height()) for patch in axis.patches]
    assert heights == [200, 500, 400, 700, 300, 600]
    shown = {to_hex(patch.get_facecolor()).upper() for patch in axis.patches}
    assert shown == {color("dreamer"), color("planet")}
    assert "200 ± 100" in drawing.text and overlaps(drawing.figure) == []


def test_a_baseline_with_few_tasks_is_not_averaged():
    runs = tuple(curve(f"dmc_{name}", ys=np.full(10, 100.0)) for name in "abc")
    finals = (final("slac", 900.0, "dmc_a"), *(final("d4pg", 50.0, f"dmc_{n}") for n in "ab"))
    drawing = bars.draw(Collection(runs, (), finals))
    [mean] = [line for line in drawing.text.splitlines() if line.startswith("Mean")]
    assert mean.split() == ["Mean", "100", "50", "–"]
    assert "without C" in drawing.notes[0]


def test_scores_are_taken_at_the_frames_asked_for():
    drawing = bars.draw(Collection((curve(ys=XS),)), at=50, window=0.2)
    assert [patch.get_height() for patch in drawing.figure.axes[0].patches] == [50]
    with pytest.raises(FigureError, match="end at 100"):
        bars.draw(Collection((curve(),)), at=1000)


def test_tasks_of_one_title_have_bars_of_their_own():
    runs = tuple(
        curve(f"{module}:Maze", ys=np.full(10, y))
        for module, y in (("mazes.small", 100.0), ("mazes.large", 300.0))
    )
    drawing = bars.draw(Collection((*runs, curve("mazes.large:Hill", ys=np.full(10, 5.0)))))
    [axis] = drawing.figure.axes
    labels = [label.get_text() for label in axis.get_xticklabels()]
    heights = [patch.get_height() for patch in axis.patches]
    assert dict(zip(labels, heights, strict=True)) == {
        "Hill": 5,
        "mazes.small:Maze": 100,
        "mazes.large:Maze": 300,
    }
    rows = [line.split() for line in drawing.text.splitlines()[1:]]
    assert sorted(rows) == [["Hill", "5"], ["mazes.large:Maze", "300"], ["mazes.small:Maze", "100"]]


# -------------------------------------------------------------------------- horizon


def test_a_sweep_shows_final_scores_over_the_values():
    drawing = horizon.draw(Collection(swept([20, 5, 10]), (), (final("planet", 70.0),)))
    [axis] = drawing.figure.axes
    lines, levels = drawn_lines(axis)
    np.testing.assert_allclose(lines[color("dreamer")].get_xdata().astype(float), [5, 10, 20])
    np.testing.assert_allclose(lines[color("dreamer")].get_ydata().astype(float), [51, 101, 201])
    assert color("planet") in levels
    assert drawing.text.splitlines()[0].split() == ["Task", "Method", "5", "10", "20"]
    assert "101 ± 1" in drawing.text
    assert overlaps(drawing.figure) == []


@pytest.mark.parametrize(
    ("spread", "below", "above"),
    [("std", 2.1602, 2.1602), ("range", 2.0, 3.0), ("interval", 6.5720, 6.5720)],
)
def test_a_sweep_shades_what_is_around_the_means(spread, below, above):
    """Three seeds at 0, 1 and 5 above a level: t is 4.3027 with two degrees of freedom."""
    curves = [
        curve(seed=seed, ys=np.full(10, level + seed), settings={"dreamer.imag_horizon": value})
        for value, level in ((5, 50.0), (10, 100.0))
        for seed in (0, 1, 5)
    ]
    [band] = horizon.draw(Collection(tuple(curves)), spread=spread).figure.axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1].astype(float)
    assert (heights.min(), heights.max()) == pytest.approx((52 - below, 102 + above), rel=1e-4)


def test_a_sweep_draws_each_seed_as_a_point_also_where_one_ended_early():
    curves = [*swept([5, 10])]
    curves[0] = dataclasses.replace(curves[0], xs=XS[:2], ys=curves[0].ys[:2])
    [axis] = horizon.draw(Collection(tuple(curves)), spread="seeds").figure.axes
    points = [line for line in axis.lines if line.get_marker() == "."]
    heights = np.concatenate([line.get_ydata().astype(float) for line in points])
    assert {line.get_linestyle() for line in points} == {"None"}
    np.testing.assert_allclose(np.sort(heights[np.isfinite(heights)]), [52, 100, 102])


def test_a_sweep_needs_several_values_of_a_number():
    with pytest.raises(FigureError, match="all runs have dreamer.imag_horizon = 5"):
        horizon.draw(Collection(swept([5])))
    with pytest.raises(FigureError, match="--group_by"):
        horizon.draw(Collection(swept([True, False])))
    with pytest.raises(FigureError, match="score file"):
        horizon.draw(Collection((curve(),)))


# ---------------------------------------------------------------------------- Atari


def test_the_atari_figure_has_four_panels_over_the_common_games():
    games = ["atari_pong", "atari_breakout"]
    runs = (
        *(curve(game, "dreamerv2", ys=np.full(10, ATARI[game].gamer)) for game in games),
        curve("atari_alien", "dreamerv2"),
    )
    others = tuple(curve(game, "sac", ys=np.full(10, ATARI[game].random)) for game in games)
    finals = (
        *(final("dqn", ATARI[game].record, game) for game in games),
        final("iqn", 3.0, "atari_pong"),
    )
    drawing = atari.draw(Collection(runs, others, finals), bins=5)
    shown = panels(drawing)
    assert list(shown) == list(AGGREGATES)
    lines, _ = drawn_lines(shown["Gamer median"])
    np.testing.assert_allclose(lines[color("dreamerv2")].get_ydata(), 1)
    np.testing.assert_allclose(lines[color("sac")].get_ydata(), 0)
    _, levels = drawn_lines(shown["Clipped record mean"])
    assert levels == {color("dqn"): pytest.approx(1)}
    assert "2 games" in drawing.text
    assert any("Alien" in note for note in drawing.notes)
    assert any("iqn has no score in Breakout" in note for note in drawing.notes)
    assert overlaps(drawing.figure) == []


def test_other_tasks_are_no_atari_games():
    with pytest.raises(FigureError, match="Walker Walk"):
        atari.draw(Collection((curve(),)))


# ------------------------------------------------------------------------ open loop


@pytest.fixture
def pixel_run(tmp_path):
    """A finished run with two predictions; the newer is lossless."""
    folder = run_folder(tmp_path / "run", env__image_size=(6, 6))
    (folder / "videos").mkdir()
    for frames, video in ((100, np.zeros_like(prediction())), (1000, prediction())):
        imageio.imwrite(folder / "videos" / f"{frames}-openloop-image.gif", video, duration=100)
    return folder


def test_the_strip_shows_the_pictures_of_the_newest_video(pixel_run):
    drawing = open_loop.draw(pixel_run, steps=[1, 6], sequences=2)
    images = [axis.get_images()[0].get_array() for axis in drawing.figure.axes]
    assert len(images) == 2 * 6
    for place, image in enumerate(images):
        row, column = divmod(place, 2)
        sequence, kind = divmod(row, 3)
        expected = (20 * [1, 6][column], 80 * kind, 80 * sequence)
        assert image.shape == (6, 6, 3)
        assert np.abs(image.astype(int) - expected).max() <= 4, (place, expected)
    titles = [axis.get_title(loc="left") for axis in drawing.figure.axes[:2]]
    assert titles == ["Context", "Open loop"]
    assert [axis.get_xlabel() for axis in drawing.figure.axes[-2:]] == ["1", "6"]
    rows = [axis.get_ylabel() for axis in drawing.figure.axes[::2]]
    assert rows == ["True", "Model", "Error"] * 2
    assert overlaps(drawing.figure) == []


@pytest.mark.parametrize(
    ("length", "pictures", "steps"), [(50, 10, "0, 5, 10, 15"), (8, 10, "6, 7")]
)
def test_points_in_time_are_evenly_spaced(tmp_path, length, pictures, steps):
    path = tmp_path / "video.gif"
    imageio.imwrite(path, prediction(length), duration=100)
    assert steps in open_loop.draw(path, pictures=pictures).text


def test_pictures_that_do_not_change_keep_their_place_in_time(tmp_path):
    video = prediction(8)
    video[[1, 2, 3]], video[7] = video[0], video[6]
    imageio.imwrite(tmp_path / "video.gif", video, duration=100)
    assert len(imageio.imread(tmp_path / "video.gif")) == 4  # the format keeps one of each
    drawing = open_loop.draw(tmp_path / "video.gif", steps=[3, 4, 5, 7])
    first_row = [axis.get_images()[0].get_array()[0, 0, 0] for axis in drawing.figure.axes[:4]]
    np.testing.assert_allclose(first_row, [0, 80, 100, 120], atol=4)


def test_what_a_prediction_does_not_hold_is_refused(pixel_run, tmp_path):
    with pytest.raises(FigureError, match="0 to 7; not 8"):
        open_loop.draw(pixel_run, steps=[8])
    with pytest.raises(FigureError, match="'wrist', but of image"):
        open_loop.draw(pixel_run, key="wrist")
    with pytest.raises(FigureError, match="nothing at"):
        open_loop.draw(tmp_path / "nowhere")
    with pytest.raises(FigureError, match="neither a run folder nor a video"):
        open_loop.draw(tmp_path)
    with pytest.raises(FigureError, match="no predictions"):
        open_loop.draw(run_folder(tmp_path / "state"))
    imageio.imwrite(tmp_path / "film.gif", np.zeros((3, 10, 10, 3), np.uint8), duration=100)
    with pytest.raises(FigureError, match="is no prediction"):
        open_loop.draw(tmp_path / "film.gif")
    assert "holds 3 sequences" in open_loop.draw(pixel_run, sequences=9).notes[0]


def test_the_context_is_that_of_the_agents():
    from dreamer_tf.world_model.open_loop import CONTEXT

    assert open_loop.CONTEXT == CONTEXT


# --------------------------------------------------------------------------- saving


def test_the_same_figure_is_the_same_file(tmp_path):
    def save(folder):
        figure = learning_curves.draw(Collection((curve(),))).figure
        return canvas.save(figure, folder, "curves", ["pdf", "png"])

    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    assert [path.name for path in first] == ["curves.pdf", "curves.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"/Type3" not in first[0].read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["curves.pdf", "curves.png"]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (500, "500"), (2500, "2.5K"), (2e6, "2M"), (1.5e9, "1.5B")]
)
def test_frames_are_written_short(number, text):
    assert canvas.short_number(number) == text


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    learning_curves.draw(Collection((curve(),)))
    assert dict(matplotlib.rcParams) == before


def test_a_dollar_in_the_name_of_a_task_is_no_mathematics():
    name = r"custom_$\frac{$"
    drawing = learning_curves.draw(Collection((curve(task=name),)))
    FigureCanvasAgg(drawing.figure).draw()
    assert any("$" in title for title in panels(drawing))
