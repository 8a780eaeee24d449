"""The pages about figures and sweeps against the commands."""

import importlib.util
import json
import os
import pathlib
import re
import shlex
import statistics

import pytest

from dreamer_tf.apps.figures import commands as figures
from dreamer_tf.apps.figures.catalogue import KINDS
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.sweep import commands as sweeps
from dreamer_tf.apps.sweep.benchmarks import BENCHMARKS

ROOT = pathlib.Path(__file__).parents[3]
FIGURES = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results" / "README.md").read_text(encoding="utf-8")
SWEEPS = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
MISSING = [name for name in ("matplotlib", "rliable") if importlib.util.find_spec(name) is None]


def calls(text, script):
    """The arguments with which the shell blocks of a page call a script."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    prefix = f"python scripts/{script} "
    return [shlex.split(line)[2:] for line in lines if line.startswith(prefix)]


PLOTS = calls(FIGURES, "plot.py") + calls(RESULTS, "plot.py") + calls(SWEEPS, "plot.py")
CURVES = sorted((ROOT / "docs" / "results").glob("*/curve.png"))
EXAMPLES = [words for words in PLOTS if "docs/figures" in words]


def test_every_figure_and_benchmark_has_its_line():
    listed = re.findall(r"^\| `(\w+)` \|", FIGURES, re.MULTILINE)
    assert listed == list(KINDS)
    rows = [line.split(" | ") for line in SWEEPS.splitlines() if re.match(r"\| `\w", line)]
    table = {row[0].strip("| `"): (int(row[2]), row[3].strip("| `")) for row in rows}
    expected = {name: (b.seeds, " ".join(b.presets)) for name, b in BENCHMARKS.items()}
    assert table == expected


@pytest.mark.parametrize("words", [w for w in PLOTS if w not in EXAMPLES], ids=" ".join)
def test_commands_of_the_pages_are_understood(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        figures.plot(words)
    message = capsys.readouterr().err
    assert "nothing at" in message or "this figure needs" in message, message


@pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} missing: pip install -e '.[figures]'"
)
@pytest.mark.parametrize("words", EXAMPLES, ids=lambda words: words[words.index("--name") + 1])
def test_the_examples_are_made_by_their_commands(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    if any("$SCORES" in word for word in words) and "SCORES" not in os.environ:
        pytest.skip("SCORES does not name a folder with the authors' published scores")
    words = [os.path.expandvars(word) for word in words]
    name = words[words.index("--name") + 1]
    figures.plot([str(tmp_path) if word == "docs/figures" else word for word in words])
    kept = ROOT / "docs" / "figures"
    assert (tmp_path / f"{name}.pdf").is_file() and (kept / f"{name}.pdf").is_file()
    drawn, shown = (flat(contents(folder / f"{name}.png")) for folder in (tmp_path, kept))
    assert shown and drawn.keys() == shown.keys(), "draw it again, by its command"
    # Texts are compared as they are, numbers to a thousandth.
    near = {
        key: pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
        for key, value in shown.items()
    }
    assert drawn == near, "draw it again, by its command"


def contents(path):
    """What a figure's PNG says that it shows."""
    from PIL import Image

    with Image.open(path) as image:
        return json.loads(image.text["contents"])


def flat(value, place=""):
    """The leaves of a JSON value, by where they stand."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, part in items for k, v in flat(part, f"{place}/{key}").items()}
    return {place: value}


@pytest.mark.parametrize("png", CURVES, ids=lambda png: png.parent.name)
def test_curves_of_recorded_runs_show_their_scores(png):
    files = [png.parent / "scores.json", *png.parent.glob("scores_seed*.json")]
    entries = [entry for file in files for entry in json.loads(file.read_text())]
    [panel] = contents(png)
    [[label, xs, ys]] = panel["lines"]
    assert label == styles([entries[0]["method"]])[entries[0]["method"]].label
    points = [dict(zip(entry["xs"], entry["ys"], strict=True)) for entry in entries]
    assert xs[:3] == sorted({x for seed in points for x in seed})[:3]
    means = [statistics.fmean(seed[x] for seed in points if x in seed) for x in xs]
    assert ys == pytest.approx(means, rel=1e-3), "draw it again"


@pytest.mark.parametrize(
    ("png", "folder"),
    [
        ("dreamerv3_objectives/own.png", "dreamerv3_objectives/own"),
        ("dreamerv3_objectives/moving.png", "dreamerv3_objectives/moving"),
        ("catch_harmony/harmony.png", "catch_harmony"),
        ("cartpole_objectives/balance.png", "cartpole_objectives/balance"),
        ("cartpole_objectives/swingup.png", "cartpole_objectives/swingup"),
    ],
)
def test_curves_side_by_side_show_the_scores_of_their_folders(png, folder):
    results = ROOT / "docs/results"
    [panel] = contents(results / png)
    drawn = {label: ys for label, _, ys in panel["lines"]}
    methods = [path for path in (results / folder).iterdir() if path.is_dir()]
    assert len(drawn) == len(methods)
    for method in methods:
        seeds = [json.loads(file.read_text())[0]["ys"] for file in method.glob("seed*.json")]
        means = [statistics.fmean(values) for values in zip(*seeds, strict=True)]
        label = styles([method.name])[method.name].label
        assert drawn[label] == pytest.approx(means, rel=1e-3), "draw it again"


@pytest.mark.parametrize("words", calls(SWEEPS, "sweep.py"), ids=" ".join)
def test_sweeps_of_the_page_are_understood(words, tmp_path, capsys):
    words = [word.replace("$h", "10") for word in words]
    words[words.index("--logdir") + 1] = str(tmp_path)
    sweeps.sweep([*words, *([] if "--dry_run" in words else ["--dry_run"])])
    assert "dreamer_tf.apps.train --configs dmc" in capsys.readouterr().out
