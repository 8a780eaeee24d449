"""The judgement of ``make learn``, and that its record can be trained."""

import json
import shlex

import pytest
from ruamel.yaml import YAML

from dreamer_tf import config
from tests import learn


def test_a_mean_below_the_recorded_one_minus_its_spread_is_too_low():
    recorded = [100.0, 110.0, 150.0]  # Mean 120, spread 50.
    assert learn.judge(recorded, [70.0, 70.0, 70.0]) == (True, 70.0)
    assert learn.judge(recorded, [0.0, 30.0, 179.0]) == (False, 70.0)
    with pytest.raises(learn.NothingRecorded, match="2 of at least 3"):
        learn.judge(recorded[:2], recorded)


def test_every_generation_has_a_task_whose_command_is_understood():
    tasks = YAML(typ="safe").load(learn.RECORD)
    agents = []
    for task in tasks.values():
        read = config.parse_args(shlex.split(task["command"])).config
        assert read.steps % read.run.eval_every == 0, "its last frame is evaluated"
        agents.append(read.agent)
    assert agents == list(tasks) == ["dreamer", "dreamerv2", "dreamerv3"]


RECORD = """\
# What stands here stays.
one:
  command: --task a --steps 1
  random: 1
  returns: {0: 10.0, 1: 20.0, 2: 30.0}
two:
  command: --task b
  random: 1
  returns: {0: 5.0}
"""


@pytest.mark.parametrize(
    ("words", "scores", "code", "shown"),
    [
        (["--only", "one"], [0, 0, 1], 1, "TOO LOW: at least 0"),
        (["--only", "one"], [0, 0, 0], 0, "passed"),
        (["--only", "two"], [9, 9, 9], 2, "not judged: 1 of at least 3"),
        (["--only", "two", "--record"], [7, 8, 9], 0, "two: 8 (7, 8, 9; random 1), recorded"),
        (["--only", "two", "--agents", "{agents}"], [7, 9, 8], 0, "not judged"),
    ],
)
def test_the_command_trains_judges_and_records(
    tmp_path, monkeypatch, capsys, words, scores, code, shown
):
    record = tmp_path / "gate.yaml"
    record.write_text(RECORD)
    called, published = [], []
    words = [word.format(agents=tmp_path / "agents") for word in words]

    def run(command, check):
        folder = learn.pathlib.Path(command[command.index("--logdir") + 1])
        folder.mkdir(parents=True)
        called.append((command[3:5], command[command.index("--seed") + 1]))
        score = float(scores[len(called) - 1]) - (code == 1)
        (folder / "scores.json").write_text(json.dumps([{"ys": [99.0, score]}]))

    monkeypatch.setattr(learn, "RECORD", record)
    monkeypatch.setattr(learn.subprocess, "run", run)
    monkeypatch.setattr(learn, "publish", lambda *args, **kwargs: published.append(args))
    with pytest.raises(SystemExit) as stop:
        learn.main([*words, "--logdir", str(tmp_path / "runs")])
    assert stop.value.code == code and shown in capsys.readouterr().out
    task = YAML(typ="safe").load(record)[words[1]]
    assert [seed for _, seed in called] == ["0", "1", "2"]
    assert called[0][0] == shlex.split(task["command"])[:2]
    text = record.read_text()
    assert text.startswith("# What stands here stays.")
    assert (text != RECORD) == ("--record" in words)
    best = [(tmp_path / "runs" / "two" / "seed1", tmp_path / "agents" / "two")]
    assert published == (best if "--agents" in words else [])
    if "--record" in words:
        assert task["returns"] == {0: 7.0, 1: 8.0, 2: 9.0}


def test_an_earlier_run_is_not_judged(tmp_path):
    with pytest.raises(FileExistsError, match="move it"):
        learn.train("--task a", 0, tmp_path)
