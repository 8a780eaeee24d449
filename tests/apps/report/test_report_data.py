"""What a report reads from run folders, and what it makes of it."""

import json
import re

import imageio.v3 as imageio
import numpy as np
import pytest

from dreamer_tf.apps.figures.aggregation import final_scores
from dreamer_tf.apps.figures.palette import COLORS, styles
from dreamer_tf.apps.figures.run_folders import metric_values
from dreamer_tf.apps.figures.scores import Curve
from dreamer_tf.apps.report import summary, tables
from dreamer_tf.apps.report.curves import thin
from dreamer_tf.apps.report.errors import ReportError
from dreamer_tf.apps.report.films import _mp4_of_gif, films, spread
from dreamer_tf.apps.report.looks import DARK_PAGE, contrast, looks, on_dark
from dreamer_tf.apps.report.metrics_file import read_metrics
from dreamer_tf.apps.report.run_folder import read_runs
from dreamer_tf.runs.videos import save_video
from tests.apps.report.example_runs import example_run


def metrics_file(path, lines, end=""):
    """Writes lines as a ``metrics.jsonl``."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end)
    return path


def points(history, name):
    """The points of a metric as a list of pairs."""
    series = history.series[name]
    return list(zip(series.xs.tolist(), series.ys.tolist(), strict=True))


def test_each_metric_is_a_series_and_a_torn_last_line_is_left_out(tmp_path):
    lines = [{"step": 1, "a": 2, "b": 0.1}, {"step": 1, "a": 3.5}, {"step": 4, "b": -1e-300}]
    history = read_metrics(metrics_file(tmp_path / "m", lines, '{"step": 5, "a"'))
    assert points(history, "a") == [(1, 2), (1, 3.5)]
    assert points(history, "b") == [(1, 0.1), (4, -1e-300)]
    assert history.env_frames == 4 and history.notes == ()


def test_a_line_that_is_none_is_left_out_and_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 2}\nnoise\n[3]\n{"step": 2, "a": NaN}\n{"step": 3, "a": 4}\n')
    history = read_metrics(path)
    assert points(history, "a") == [(1, 2), (3, 4)]
    assert history.notes == ("metrics.jsonl: left out what is no line of metrics: line 2, 3",)


@pytest.mark.parametrize(
    ("restart", "kept"),
    [
        ({"env_frames": 15}, [(10, 1), (25, 4)]),
        ({"env_frames": 22, "saved_frames": 15}, [(10, 1), (25, 4)]),
        (None, [(10, 1), (20, 2), (25, 4)]),
    ],
)
def test_work_that_was_lost_is_dropped(tmp_path, restart, kept):
    steps = [(10, 1), (20, 2), (30, 3), (25, 4)]
    path = metrics_file(tmp_path / "m", [{"step": step, "a": value} for step, value in steps])
    starts = [{"env_frames": 0}, *([restart] if restart else [])]
    assert points(read_metrics(path, starts), "a") == kept


def started(folder, *parts):
    """A run folder whose starts noted where they began: (start, its lines) for each."""
    folder.mkdir()
    path, starts = folder / "metrics.jsonl", []
    path.touch()
    for start, lines in parts:
        starts.append(start | {"metrics_bytes": path.stat().st_size})
        with path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    (folder / "info.json").write_text(json.dumps(starts))
    return folder, starts


def evaluations(*points):
    return [{"step": step, "eval/return": value} for step, value in points]


FIRST = {"env_frames": 0, "saved_frames": 0, "evaluated_frames": 0}
AGAIN = {"env_frames": 20_000, "saved_frames": 8000, "evaluated_frames": 4000}


@pytest.mark.parametrize(
    ("before", "starts", "kept"),
    [
        # The frames of the replay are those of the last line, so that steps do not fall.
        ([(10_000, 1), (20_000, 2)], [(AGAIN, [(20_000, 3)])], [(20_000, 3)]),
        # It has logged nothing yet.
        ([(4000, 1), (10_000, 2)], [(AGAIN, [])], [(4000, 1)]),
        # An evaluation at the frame of the checkpoint, and after it.
        ([(4000, 1), (8000, 2)], [(AGAIN, [(20_000, 3)])], [(4000, 1), (20_000, 3)]),
        # Two kills one after the other.
        (
            [(4000, 1), (9000, 2)],
            [(AGAIN, [(20_000, 3)]), (AGAIN, [(21_000, 4)])],
            [(4000, 1), (21_000, 4)],
        ),
        # Stopped in good order.
        (
            [(4000, 1), (9000, 2)],
            [(AGAIN | {"saved_frames": 20_000, "evaluated_frames": 9000}, [(20_000, 3)])],
            [(4000, 1), (9000, 2), (20_000, 3)],
        ),
    ],
)
def test_what_was_lost_is_found_by_where_a_start_began(tmp_path, before, starts, kept):
    parts = [(FIRST, before), *starts]
    folder, starts = started(
        tmp_path / "run", *((start, evaluations(*points)) for start, points in parts)
    )
    assert points(read_metrics(folder / "metrics.jsonl", starts), "eval/return") == kept
    values = metric_values(folder, "eval/return")
    assert values == {step: [value] for step, value in kept}


def test_lines_that_were_taken_away_are_not_looked_for_in_the_new_file(tmp_path):
    """Another task in the folder begins its metrics anew; ``info.json`` goes on."""
    folder, starts = started(tmp_path / "run", (FIRST, evaluations((10_000, 1), (30_000, 2))))
    new = {"env_frames": 30_000, "saved_frames": 30_000, "evaluated_frames": 30_000}
    starts += [AGAIN | {"metrics_bytes": 50}, new | {"metrics_bytes": 0}]
    history = read_metrics(folder / "metrics.jsonl", starts)
    assert points(history, "eval/return") == [(10_000, 1), (30_000, 2)]


def test_starts_that_noted_their_place_leave_the_others_to_falling_steps(tmp_path):
    old = {"env_frames": 15, "saved_frames": 12}
    lines = evaluations((10, 1), (20, 2), (16, 3))
    folder, starts = started(
        tmp_path / "run",
        (FIRST, lines),
        ({"env_frames": 16, "saved_frames": 16, "evaluated_frames": 16}, evaluations((17, 4))),
    )
    del starts[0]["metrics_bytes"]
    starts.insert(1, old)
    history = read_metrics(folder / "metrics.jsonl", starts)
    assert points(history, "eval/return") == [(10, 1), (16, 3), (17, 4)]


def test_the_time_of_work_that_was_lost_does_not_count(tmp_path):
    def intervals(*steps):
        return [{"step": step, "speed/frames": 50.0} for step in steps]

    folder, starts = started(
        tmp_path / "run",
        (FIRST, intervals(8000, 10_000, 20_000)),
        (AGAIN, intervals(22_000)),
    )
    history = read_metrics(folder / "metrics.jsonl", starts)
    assert history.seconds().tolist() == [160, 40] and history.env_frames == 22_000


def test_time_is_frames_over_speed(tmp_path):
    lines = [
        {"step": 100, "speed/frames": 50.0, "time/acting": 1.0, "time/other": 0.0},
        {"step": 400, "speed/frames": 50.0, "time/acting": 0.0, "time/other": 1.0},
    ]
    history = read_metrics(metrics_file(tmp_path / "m", lines))
    assert history.seconds().tolist() == [2, 6]
    assert summary.time_shares(history) == {"acting": 0.25, "other": 0.75}
    beside = [line | {"time/updating": 0.9, "time/waiting": 0.0} for line in lines]
    history = read_metrics(metrics_file(tmp_path / "beside", beside))
    assert summary.time_shares(history) == {"acting": 0.25, "waiting": 0.0, "other": 0.75}


def test_episodes_beyond_a_restart_were_played_and_stay(tmp_path):
    steps = [(10, 1), (20, 2), (30, 3), (25, 4)]
    lines = [{"step": step, "train/return": value} for step, value in steps]
    starts = [{"env_frames": 0}, {"env_frames": 15}]
    history = read_metrics(metrics_file(tmp_path / "m", lines), starts)
    assert points(history, "train/return") == [(10, 1), (20, 2), (25, 4), (30, 3)]


def test_an_interval_begins_no_earlier_than_its_start(tmp_path):
    """The frames of recorded episodes, and of an earlier task, took this run no time."""
    lines = [{"step": step, "speed/frames": 50.0} for step in (100, 10_300, 10_400)]
    starts = [{"env_frames": frames} for frames in (0, 10_000, 10_200)]
    history = read_metrics(metrics_file(tmp_path / "m", lines), starts)
    assert history.seconds().tolist() == [2, 2, 2]


def test_updates_count_where_they_were_not_made_beside_acting(tmp_path):
    parts = {"time/acting": 0.5, "time/updating": 0.5}
    lines = [
        {"step": 100, "speed/frames": 50.0, **parts},
        {"step": 200, "speed/frames": 50.0, **parts, "time/waiting": 0.5},
    ]
    shares = summary.time_shares(read_metrics(metrics_file(tmp_path / "m", lines)))
    assert shares == {"acting": 0.5, "updating": 0.25, "waiting": 0.25}


def test_the_final_score_is_the_mean_of_the_last_tenth(tmp_path):
    pairs = [(100, 9.0), (900, 1.0), (910, 2.0), (1000, 4.0)]
    lines = [{"step": step, "eval/return": value} for step, value in pairs]
    score = summary.score(read_metrics(metrics_file(tmp_path / "m", lines)))
    assert (score.kind, score.final, score.best, score.best_frames) == ("evaluation", 3, 9, 100)
    xs, ys = (np.array(values, float) for values in zip(*pairs, strict=True))
    curve = Curve("dmc_walker_walk", "dreamer", "0", xs, ys, tmp_path)
    assert final_scores([curve]).tolist() == [score.final], "a figure says the same"


def test_a_score_from_before_the_first_frame_is_the_final_one_so_far(tmp_path):
    history = read_metrics(metrics_file(tmp_path / "m", [{"step": 0, "eval/return": 5.0}]))
    assert summary.score(history).final == 5


def test_a_run_without_metrics_has_no_score(tmp_path):
    history = read_metrics(tmp_path / "nothing")
    assert summary.score(history) is None and summary.time_shares(history) == {}


def test_a_thinned_curve_keeps_its_ends_and_peaks():
    ys = np.sin(np.arange(100_000))
    ys[[12_345, 77_777]] = 50, -50
    kept = thin(ys, 1000)
    assert len(kept) <= 1000 and (np.diff(kept) > 0).all()
    assert {0, 12_345, 77_777, 99_999} <= set(kept.tolist())
    assert thin(ys[:1000], 1000).tolist() == list(range(1000))


def test_runs_of_a_method_share_its_colour_and_no_two_look_alike():
    methods = ["dreamer", "dreamerv3", "dreamer", "dreamer"]
    chosen = looks(methods)
    assert [look.light for look in chosen] == [styles([m])[m].color for m in methods]
    assert len({(look.light, look.dash) for look in chosen}) == 4
    assert chosen[0].dash == ()


@pytest.mark.parametrize("color", COLORS)
def test_every_colour_stands_out_on_a_dark_page(color):
    assert contrast(on_dark(color), DARK_PAGE) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_runs_have_names_that_tell_them_apart(tmp_path):
    for place in ("a/x", "b/x", "b/y"):
        example_run(tmp_path / place, reached=50)
    paths = [tmp_path / "a/x", f"Mine={tmp_path / 'b/x'}", tmp_path / "b/y"]
    runs = read_runs(paths)
    assert [run.name for run in runs] == ["x", "Mine", "y"]
    assert [run.agent for run in runs] == ["dreamer"] * 3
    twins = read_runs([tmp_path / "a/x", tmp_path / "b/x", tmp_path / "b/y"])
    assert [run.name for run in twins] == ["a/x", "b/x", "y"]
    same = read_runs([f"Mine={tmp_path / place}" for place in ("a/x", "b/x")])
    assert [run.name for run in same] == ["Mine: a/x", "Mine: b/x"]


def test_what_is_no_run_is_refused_with_what_it_is(tmp_path):
    run = example_run(tmp_path / "runs" / "mine", reached=50)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [1")
    cases = {
        tmp_path / "mien": "there is nothing at .*mien",
        tmp_path / "empty": "empty is not a run folder: it has no config.yaml",
        run / "metrics.jsonl": "metrics.jsonl is a file; expected a run folder",
        tmp_path / "runs": "runs is not a run folder but holds 1: give .*mine$",
        tmp_path / "broken": "is not valid YAML",
    }
    for path, message in cases.items():
        with pytest.raises(ReportError, match=message):
            read_runs([path])
    with pytest.raises(ReportError, match="given twice"):
        read_runs([run, tmp_path / "runs" / "." / "mine"])


def test_settings_that_differ_are_found(tmp_path):
    first = example_run(tmp_path / "first", reached=50)
    second = example_run(tmp_path / "second", reached=50, seed=3, dreamer__free_nats=2.0)
    text = (second / "config.yaml").read_text()
    (second / "config.yaml").write_text(text.replace("precision: ", "forgotten: "))
    rows = {row.name: row for row in tables.settings(read_runs([first, second]))}
    assert {name for name, row in rows.items() if row.differs} == {"seed", "dreamer.free_nats"}
    assert rows["seed"].values == ("0", "3")
    assert rows["precision"].values == ("float32", "–"), "unknown is not another value"
    assert rows["forgotten"].default is None and rows["forgotten"].values[0] == "–"
    assert rows["env.image_size"].is_changed and rows["env.image_size"].default == "64,64"
    assert not rows["logdir"].is_changed and rows["seed"].meaning


def test_options_of_other_agents_are_none_of_a_run(tmp_path):
    run = example_run(tmp_path / "three", reached=50, agent="dreamerv3", dreamerv3__imag_horizon=9)
    other = example_run(tmp_path / "two", reached=50, agent="dreamerv2", dreamerv2__imag_horizon=9)
    alone = tables.settings(read_runs([run]))
    sections = {row.name.partition(".")[0] for row in alone if "." in row.name}
    assert sections == {"env", "replay", "run", "dreamerv3"}
    changed = {row.name for row in alone if row.is_changed}
    assert "dreamerv3.imag_horizon" in changed, "the preset cpu changes dreamer's, too"
    together = {row.name: row for row in tables.settings(read_runs([run, other]))}
    assert together["dreamerv2.imag_horizon"].values == ("–", "9")
    assert {name for name, row in together.items() if row.differs} == {"agent"}


def test_an_agent_of_ones_own_may_read_anything(tmp_path):
    run = example_run(tmp_path / "run", reached=50)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub("^agent: dreamer", "agent: mine", text, flags=re.M))
    [read] = read_runs([run])
    assert read.agent == "mine"
    assert {"dreamer.free_nats", "planet.free_nats"} <= {r.name for r in tables.settings([read])}


def test_the_environment_is_that_of_the_newest_start(tmp_path):
    first, second = example_run(tmp_path / "1", starts=2), example_run(tmp_path / "2", starts=0)
    rows = {row.name: row.values for row in tables.environment(read_runs([first, second]))}
    assert rows["tensorflow"] == ("2.21.0", "–") and rows["memory"] == ("8.0 GiB", "–")
    assert rows["cores"] == ("4 of 4", "–") and rows["GPU"] == ("none", "–")
    assert "gym" not in rows


def test_videos_are_spread_over_the_training_and_damaged_ones_are_named(tmp_path):
    run = example_run(tmp_path / "run", films=(100, 300))
    (run / "videos" / "000000400-eval.mp4").write_bytes(b"")
    (run / "videos" / "000000400-openloop-image.gif").write_bytes(b"GIF89a")
    (run / "videos" / ".tmp-000000500-eval.mp4").write_bytes(b"x")
    shown, notes = films(run, 3)
    assert [(film.kind, film.env_frames) for film in shown] == [
        *(("eval", 300), ("eval", 100)),
        *(("openloop-image", 300), ("openloop-image", 100)),
    ]
    assert len({film.source for film in shown}) == 4
    assert [note.split()[0] for note in notes] == [
        "000000400-eval.mp4",
        "000000400-openloop-image.gif",
    ]
    assert films(run, 0) == ([], []) and films(tmp_path / "none", 3) == ([], [])


def test_a_gif_that_stands_still_for_a_while_keeps_its_time(tmp_path):
    frames = np.zeros((20, 16, 16, 3), np.uint8)
    frames[10:] = np.arange(10, 250, 24, np.uint8)[:, None, None, None]
    path = tmp_path / "film.gif"
    save_video(path, frames, fps=10)
    film = tmp_path / "film.mp4"
    film.write_bytes(_mp4_of_gif(path))
    assert len(imageio.imread(film, index=None)) == 20
    assert imageio.immeta(film, plugin="FFMPEG")["fps"] == 10


def test_a_spread_has_the_last_and_is_even():
    assert spread(10, 3) == [0, 4, 9] and spread(10, 1) == [9] and spread(2, 3) == [0, 1]
    assert spread(5, 0) == []
