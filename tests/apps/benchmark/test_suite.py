"""The suite of goals: what it measures, and how it judges."""

import json
import shlex
import subprocess

import pytest

from dreamer_tf import config as configs
from dreamer_tf.apps.benchmark import commands, suite
from dreamer_tf.apps.benchmark.suite import Goal


def result_of(ratio, first=5.0):
    return {
        "arithmetic": {"ratio_to_floor": ratio},
        "start": {"first_update_seconds": first},
        "policy": {"train_seconds": 1e-3},
    }


def test_every_work_is_a_run_that_can_be_started():
    assert {work for goal in suite.GOALS for work in goal.works} == suite.WORKS.keys()
    for options in suite.WORKS.values():
        resolved = configs.parse_args(shlex.split(options))
        assert resolved.config.precision == (
            "mixed_bfloat16" if "bfloat16" in options else "float32"
        )


def test_every_figure_of_a_goal_is_measured():
    figures = {figure.key for figure in commands.FIGURES}
    assert {goal.figure for goal in suite.GOALS} <= figures
    assert {goal.figure for goal in suite.GOALS} == suite.NAMES.keys()


def test_the_best_of_several_works_counts():
    results = {"one": result_of(3.0), "two": result_of(2.0)}
    judged = suite.judge(Goal(("one", "two"), "arithmetic.ratio_to_floor", 2.5), results)
    assert judged == {
        **{"work": "two", "figure": "arithmetic.ratio_to_floor", "value": 2.0, "goal": 2.5},
        **{"ratio": 0.8, "reached": True},
    }
    assert not suite.judge(Goal(("one",), "arithmetic.ratio_to_floor", 2.5), results)["reached"]


def test_each_work_has_a_process_of_its_own_and_the_table_says_what_is_reached(
    monkeypatch, tmp_path, capsys
):
    started = []

    def run(command, **options):
        started.append(command)
        path = command[command.index("--out") + 1]
        with open(path, "w") as file:
            json.dump(result_of(2.0, first=8.5), file)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    path = tmp_path / "new" / "suite.json"
    commands.benchmark(["--suite", "--updates", "7", "--seconds", "0.5", "--out", str(path)])
    for command, options in zip(started, suite.WORKS.values(), strict=True):
        words = f"{options} --updates 7 --seconds 0.5 --out {command[-1]}"
        assert shlex.join(command).endswith(words)
    saved = json.loads(path.read_text())
    assert saved["results"].keys() == suite.WORKS.keys()
    printed = capsys.readouterr().out
    assert printed == f"{suite.render(saved)}saved in {path}\n"
    rows = [" ".join(line.split()) for line in printed.splitlines()]
    assert "dmc_tf2 update, in floors 2 1.35 148% no" in rows
    assert "size1m update, in floors 2 2.2 91% yes" in rows
    assert "dmc_tf2 first update, s 8.5 8 106% no" in rows
    assert f"{sum(row['reached'] for row in saved['goals'])} of {len(suite.GOALS)}" in printed


@pytest.mark.parametrize("words", [["--configs", "dmc_tf2"], ["--profile"]])
def test_the_suite_takes_no_options_of_a_run(words, capsys):
    with pytest.raises(SystemExit) as end:
        commands.benchmark(["--suite", *words])
    assert end.value.code == 2
    assert shlex.join(words) in capsys.readouterr().err
