"""The command ``plot``: files, messages and exit codes."""

import errno
import importlib.util
import inspect
import os
import pathlib
import shutil
import subprocess
import sys

import imageio.v3 as imageio
import pytest

from dreamer_tf.apps.figures import commands
from dreamer_tf.apps.figures.catalogue import KINDS, OPTIONS, Kind
from dreamer_tf.apps.figures.collection import gather
from dreamer_tf.config import options
from tests.apps.figures.runs import entry, prediction, run_folder, score_file

ROOT = pathlib.Path(__file__).parents[3]
MISSING = [name for name in ("matplotlib", "rliable") if importlib.util.find_spec(name) is None]
needs_libraries = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} missing: pip install -e '.[figures]'"
)


def failure(capsys, *words):
    """Runs the command, which must end with exit code 2; returns its message."""
    with pytest.raises(SystemExit) as raised:
        commands.plot([str(word) for word in words])
    message = capsys.readouterr().err
    assert raised.value.code == 2 and "Traceback" not in message
    return message


@pytest.fixture
def runs(tmp_path):
    """Two methods on two tasks with two seeds, and a baseline."""
    for name in ("long", "short"):
        for task in ("dmc_walker_walk", "dmc_hopper_hop"):
            for seed in (0, 1):
                run_folder(
                    tmp_path / "runs" / name / task / f"seed{seed}",
                    task=task,
                    seed=seed,
                    dreamer__imag_horizon=5 if name == "short" else 15,
                    ys=[100.0 + seed, 200.0 + seed],
                )
    finals = {"dmc_walker_walk": {"planet": 300}, "dmc_hopper_hop": {"planet": 100}}
    score_file(tmp_path / "baselines.json", finals)
    return tmp_path


@needs_libraries
@pytest.mark.parametrize(
    "words",
    [
        ["--figure", "curves", "--group_by", "dreamer.imag_horizon", "--summary"],
        ["--figure", "bars", "--tasks", "dmc_walker_*", "--group_by", "dreamer.imag_horizon"],
        ["--figure", "representation", "--group_by", "dreamer.imag_horizon"],
        ["--figure", "horizon", "--option", "dreamer.imag_horizon"],
        ["--figure", "iqm", "--group_by", "dreamer.imag_horizon", "--reps", "20"],
        ["--figure", "profiles", "--group_by", "dreamer.imag_horizon", "--reps", "20"],
        ["--figure", "improvement", "--group_by", "dreamer.imag_horizon", "--reps", "20"],
    ],
    ids=lambda words: words[1],
)
def test_every_figure_is_drawn_from_run_folders(runs, capsys, words):
    baselines = ["--baselines", runs / "baselines.json"] if words[1] in ("curves", "bars") else []
    out = runs / "figures"
    places = ["--indir", runs / "runs", "--out", out, *baselines]
    commands.plot([str(word) for word in [*words, *places]])
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == [str(out / f"{words[1]}.pdf"), str(out / f"{words[1]}.png")]
    assert (out / f"{words[1]}.pdf").read_bytes().startswith(b"%PDF")
    picture = imageio.imread(out / f"{words[1]}.png")
    assert min(picture.shape[:2]) > 100 and picture.std() > 1


@needs_libraries
def test_the_atari_figure_and_the_strip(tmp_path, capsys):
    games = [entry(task=f"atari_{game}", method="dreamerv2") for game in ("pong", "alien")]
    path = score_file(tmp_path / "scores.json.gz", games)
    commands.plot(["--figure", "atari", "--indir", str(path), "--out", str(tmp_path)])
    assert "2 games" in capsys.readouterr().out
    imageio.imwrite(tmp_path / "video.gif", prediction(), duration=100)
    words = ["--indir", str(tmp_path / "video.gif"), "--out", str(tmp_path), "--formats", "svg"]
    commands.plot(["--figure", "openloop", "--name", "strip", *words])
    assert (tmp_path / "strip.svg").read_text().startswith("<?xml")


@needs_libraries
@pytest.mark.parametrize("figure", ["curves", "bars", "representation", "iqm"])
def test_figures_take_training_returns_of_runs(tmp_path, capsys, figure):
    run = run_folder(tmp_path / "run", metrics=[{"step": 100, "train/return": 30.0}])
    published = score_file(tmp_path / "a.json", [entry(method="sac", xs=[50, 100])])
    words = ["--figure", figure, "--indir", str(run), "--baselines", str(published)]
    words += ["--out", str(tmp_path), "--formats", "svg", *(["--reps", "9"] * (figure == "iqm"))]
    commands.plot(words)
    assert "--metric train/return compares alike" in capsys.readouterr().err
    commands.plot([*words, "--metric", "train/return"])
    output = capsys.readouterr()
    assert "evaluations" not in output.err
    assert figure != "bars" or " 30 " in output.out + " "


@needs_libraries
def test_scores_after_unlike_numbers_of_frames_are_noted(tmp_path, capsys):
    own = score_file(tmp_path / "own.json", [entry(xs=[50, 100, 110], ys=[1.0, 2.0, 3.0])])
    other = score_file(tmp_path / "other.json", [entry(method="sac", xs=[50, 100])])
    words = ["--figure", "bars", "--indir", str(own), "--baselines", str(other)]
    commands.plot([*words, "--out", str(tmp_path)])
    assert "dreamer at 110, sac at 100; --at 100 compares" in capsys.readouterr().err
    commands.plot([*words, "--out", str(tmp_path), "--at", "100"])
    assert "note" not in capsys.readouterr().err


@needs_libraries
def test_an_improvement_needs_two_methods(runs, capsys):
    message = failure(capsys, "--figure", "improvement", "--indir", runs / "runs" / "long")
    assert "--baselines" in message


@needs_libraries
def test_a_folder_that_cannot_be_written_is_an_error(runs, capsys):
    (runs / "file").write_text("")
    words = ["--indir", runs / "runs" / "long", "--out", runs / "file" / "below"]
    assert "cannot write" in failure(capsys, "--figure", "bars", *words)


@needs_libraries
def test_one_strip_at_a_time(runs, capsys):
    assert "one run or video" in failure(capsys, "--figure", "openloop", "--indir", "a", "b")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--figure", "crves", "--indir", "x"], ["'crves'", "curves"]),
        (["--indir", "x"], ["--figure"]),
        (["--figure", "bars"], ["--indir"]),
        (["--figure", "bars", "--indir", "x", "--bins", "3"], ["--bins", "belongs to curves"]),
        (["--figure", "bars", "--indir", "x", "--bnis", "3"], ["--bnis is no option of bars"]),
        (["--figure", "curves", "--indir", "x", "--bins", "0"], ["whole number above 0, got 0"]),
        (["--figure", "curves", "--indir", "x", "--bins", "1.5"], ["whole number above 0"]),
        (["--figure", "bars", "--indir", "x", "--at", "many"], ["a number, got many"]),
        (["--figure", "bars", "--indir", "x", "--at", "inf"], ["finite"]),
        (["--figure", "bars", "--indir", "x", "--window", "1.5"], ["at most 1"]),
        (["--figure", "bars", "--indir", "x", "--formats", "gif"], ["'gif'", "pdf"]),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2_and_says_what_could(capsys, words, parts):
    message = failure(capsys, *words)
    assert all(part in message for part in parts), message


@needs_libraries
def test_a_path_without_runs_is_an_error(capsys):
    assert "nothing at nowhere" in failure(capsys, "--figure", "bars", "--indir", "nowhere")


@needs_libraries
def test_a_folder_that_cannot_be_read_is_named(runs, capsys, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    message = failure(capsys, "--figure", "bars", "--indir", runs / "runs")
    assert f"Permission denied: '{runs / 'runs'}'" in message


@needs_libraries
def test_a_folder_of_somebody_who_does_not_share_it_is_left_out(runs, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shutil.copytree(runs / "runs", shared / "ours")
    (shared / "theirs").mkdir()
    listed = pathlib.Path.iterdir

    def refuse(path):
        if path.name == "theirs":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    collected = gather([shared], group_by="dreamer.imag_horizon")
    assert len(collected.runs) == 8
    assert [note for note in collected.notes if "left out" in note and "theirs" in note]


def test_ctrl_c_is_exit_code_130(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Kind, "make", interrupted)
    with pytest.raises(SystemExit) as raised:
        commands.plot(["--figure", "bars", "--indir", "runs"])
    assert raised.value.code == 130


def test_help_lists_every_figure_and_option(capsys):
    with pytest.raises(SystemExit) as raised:
        commands.plot(["--help"])
    shown = capsys.readouterr().out
    assert raised.value.code == 0
    assert all(f"--{name}" in shown for name in OPTIONS)
    assert all(f"  {name} " in shown for name in KINDS)


def test_help_of_one_figure_lists_its_options(capsys):
    with pytest.raises(SystemExit):
        commands.plot(["--figure", "representation", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--spread" in shown and "--reps" not in shown
    assert "(default: dreamer.objective)" in shown


def test_every_option_belongs_to_a_figure():
    used = {name for kind in KINDS.values() for name in kind.options}
    assert used == set(OPTIONS)


def test_default_options_of_runs_exist():
    assert OPTIONS["option"]["default"] in options()
    assert KINDS["representation"].defaults["group_by"] in options()


@needs_libraries
@pytest.mark.parametrize("figure", KINDS)
def test_options_are_the_arguments_of_the_drawing_function(figure):
    kind = KINDS[figure]
    module = importlib.import_module(f"dreamer_tf.apps.figures.{kind.module}")
    parameters = list(inspect.signature(module.draw).parameters.values())[1:]
    assert {p.name for p in parameters} == set(kind.draws)
    for parameter in parameters:
        default = kind.defaults.get(parameter.name, OPTIONS[parameter.name].get("default"))
        flag = OPTIONS[parameter.name].get("action") == "store_true"
        assert parameter.default == (False if flag else default), parameter.name


def test_a_missing_library_is_named(runs, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = failure(capsys, "--figure", "iqm", "--indir", runs / "runs")
    assert "matplotlib and rliable" in message and "[figures]" in message
    message = failure(capsys, "--figure", "curves", "--indir", runs / "runs")
    assert "needs matplotlib:" in message


def test_the_script_shows_help_at_once():
    command = [sys.executable, "-X", "importtime", str(ROOT / "scripts" / "plot.py"), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "--figure" in done.stdout
    assert not [name for name in ("tensorflow", "matplotlib", "rliable") if name in done.stderr]
