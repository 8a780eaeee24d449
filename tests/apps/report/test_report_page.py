"""The page of a report as text, and the command that writes it."""

import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from dreamer_tf.apps.report import commands, document
from dreamer_tf.apps.report.curves import MOST_POINTS, group_of
from tests.apps.report.example_runs import example_run

ROOT = pathlib.Path(__file__).parents[3]
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source"}
ADDRESSES = {"action", "background", "data", "href", "poster", "src", "srcset", "xlink:href"}


class Page(html.parser.HTMLParser):
    """Reads a page and holds every element to have its end, and every name its only place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.texts = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value for name, value in attrs if name in ADDRESSES]
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()

    def handle_data(self, data):
        for tag, attributes in self.open[-1:]:
            key = attributes.get("id") or attributes.get("data-value") or tag
            self.texts[key] = self.texts.get(key, "") + data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with an unfinished run, a finished one, and one that has only just begun."""
    folder = tmp_path_factory.mktemp("runs")
    example_run(folder / "half", reached=500, films=(500,), starts=2)
    example_run(folder / "whole", seed=1, agent="dreamerv2")
    example_run(folder / "begun", reached=0, starts=0, task="gymnasium_<Odd>&'Name'-v0")
    return folder


@pytest.fixture(scope="module")
def pages(folder):
    """Text of the report of each run, and of all together."""
    names = {"half": ["half"], "whole": ["whole"], "begun": ["begun"]}
    names["all"] = [name for [name] in names.values()]
    paths = {
        name: document.write_report([folder / run for run in runs], folder / f"{name}.html")
        for name, runs in names.items()
    }
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items()}


@pytest.mark.parametrize("name", ["half", "whole", "begun", "all"])
def test_a_page_is_well_formed_and_has_everything_inside(pages, name):
    page = Page(pages[name])
    assert len(page.ids) == len(set(page.ids))
    fragments = {address[1:] for address in page.addresses if address.startswith("#")}
    assert fragments <= set(page.ids)
    outside = [a for a in page.addresses if not a.startswith(("#", "data:"))]
    assert outside == []
    assert "@import" not in page.texts["style"] and "url(" not in page.texts["style"]


@pytest.mark.parametrize("name", ["half", "all"])
def test_the_numbers_are_those_of_the_metrics(pages, folder, name):
    data = json.loads(Page(pages[name]).texts["data"])
    shown = {}
    for chart in data["charts"]:
        for curve in chart["curves"]:
            run, xs = data["runs"][curve["run"]]["name"], data["xs"][curve["xs"]]
            points = list(zip(xs, curve["ys"], strict=True))
            shown[run, chart["name"]] = points
            if "spread" in curve:
                shown[run, chart["name"] + "_std"] = list(zip(xs, curve["spread"], strict=True))
    logged = {}
    for run in ("half",) if name == "half" else ("half", "whole"):
        for text in (folder / run / "metrics.jsonl").read_text().splitlines():
            line = json.loads(text)
            step = line.pop("step")
            for metric, value in line.items():
                logged.setdefault((run, metric), []).append((step, value))
    assert shown == logged


def test_the_summary_is_that_of_the_evaluations(pages, folder):
    lines = map(json.loads, (folder / "whole" / "metrics.jsonl").read_text().splitlines())
    scores = {line["step"]: line["eval/return"] for line in lines if "eval/return" in line}
    texts = Page(pages["whole"]).texts
    assert texts["final"] == document.number(scores[1000])
    assert texts["best"] == document.number(max(scores.values()))


def test_an_unfinished_run_is_said_to_be_one(pages):
    assert "Not finished" in pages["half"] and "500 of 1,000 frames (50.0 %)" in pages["half"]
    assert "Not finished" not in pages["whole"]
    assert "nothing is logged yet" in pages["begun"]
    assert "<b>begun</b>: 0 of 1,000 frames" in pages["all"]
    assert "<b>whole</b>: " not in pages["all"]


def test_where_nothing_acted_updates_are_no_frames(folder, tmp_path):
    run = example_run(tmp_path / "fit", reached=500, films=(500,), starts=2, acted=False)
    text = document.write_report([run]).read_text(encoding="utf-8")
    assert "500 of 1,000 updates (50.0 %)" in text and "Return over updates." in text
    assert text.count("<dt>updates</dt>") == 1 and "<dt>frames</dt>" not in text
    assert "Evaluation episode at 500 updates" in text and "from update</th>" in text
    assert '<td data-of="frames a second">–</td>' in text
    assert json.loads(Page(text).texts["data"])["axis"] == "updates"
    both = document.write_report([run, folder / "half"], tmp_path / "both.html")
    data = json.loads(Page(both.read_text(encoding="utf-8")).texts["data"])
    assert data["axis"] == "environment frames or updates"


def test_names_from_outside_are_text_not_markup(pages):
    assert "&lt;Odd&gt;&amp;&#39;Name&#39;-v0" in pages["begun"] and "<Odd>" not in pages["begun"]
    assert "A &lt;fast&gt; processor" in pages["half"]
    assert document.script_json("</script><!--") == '"\\u003c/script>\\u003c!--"'


def test_a_long_curve_is_thinned_and_the_page_says_so(tmp_path):
    run = example_run(tmp_path / "run")
    steps = range(1000, 3 * MOST_POINTS + 1000)
    lines = "".join(json.dumps({"step": step, "kl": float(step % 7)}) + "\n" for step in steps)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(lines)
    text = document.write_report([run]).read_text(encoding="utf-8")
    data = json.loads(Page(text).texts["data"])
    [chart] = [chart for chart in data["charts"] if chart["name"] == "kl"]
    assert len(chart["curves"][0]["ys"]) <= MOST_POINTS
    assert "metrics.jsonl has them all" in text


def test_the_command_says_where_the_page_is(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = str(folder / "whole")
    commands.report([run])
    assert capsys.readouterr().out == f"{folder / 'whole' / 'report.html'}\n"
    commands.report([run, f"Other={folder / 'half'}", "--videos", "0"])
    assert capsys.readouterr().out == "report.html\n"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "DreamerV2 and Dreamer on Walker Walk: 2 runs" in text and "<video" not in text
    cards = re.findall(r"<h2><svg.*?</svg> (.+?)</h2>\s*<p.*?>(.+?) ·", text, re.DOTALL)
    assert cards == [("whole", "DreamerV2"), ("Other", "Dreamer")], "a name is no algorithm"
    commands.report([run, "--out", "new/page.html"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["nowhere"], 2, "there is nothing at nowhere"),
        (["empty"], 2, "empty is not a run folder: it has no config.yaml"),
        ([], 2, "RUN"),
        (["empty", "--videos", "-1"], 2, "expected 0 or more, got -1"),
        (["{whole}", "--out", "empty"], 1, "empty"),
    ],
)
def test_what_makes_no_report_is_one_line_and_an_exit_code(
    folder, tmp_path, monkeypatch, capsys, words, code, part
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as stop:
        commands.report([word.format(whole=folder / "whole") for word in words])
    message = capsys.readouterr().err
    assert stop.value.code == code and part in message and "Traceback" not in message


def test_ctrl_c_is_exit_code_130(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "write_report", interrupted)
    with pytest.raises(SystemExit) as stop:
        commands.report(["run"])
    assert stop.value.code == 130


def test_the_script_loads_no_tensorflow(folder, tmp_path):
    code = (
        "import runpy, sys\n"
        "sys.argv[0] = 'report.py'\n"
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
        "print(*{'tensorflow', 'keras', 'matplotlib'} & sys.modules.keys())\n"
    )
    words = [ROOT / "scripts" / "report.py", folder / "whole", "--out", tmp_path / "page.html"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "page.html"), ""]


def test_every_documented_metric_has_a_group():
    metrics = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| (`[^|]+) \|", metrics, re.MULTILINE)
    known = {name for cell in names for name in re.findall("`([^`]+)`", cell)}
    known -= {"step", "agent_steps", "grad_steps", "episodes", "env_frames"}
    known -= {"tensorboard", "wandb", "mlflow", "none"}  # Where they go.
    lost = [name for name in known if group_of(re.sub("<.+?>", "x", name)).name == "other"]
    assert len(known) > 60 and lost == []
