"""The clock of ``make minutes``: when a task counts as learned, and what is recorded."""

import shlex
import sys

import pytest
from ruamel.yaml import YAML

from dreamer_tf import config
from tests import minutes


def test_the_mean_of_neighbouring_returns_counts():
    assert minutes.is_learned([1, 5, 1], 5, 1)
    assert not minutes.is_learned([1, 5, 1], 5, 2)
    assert minutes.is_learned([1, 5, 5, 1], 5, 2) and not minutes.is_learned([9], 5, 2)


def test_every_task_can_be_trained_and_is_evaluated():
    tasks = YAML(typ="safe").load(minutes.RECORD)
    for task in tasks.values():
        assert config.parse_args(shlex.split(task["command"])).config.run.eval_every > 0
        assert isinstance(task["threshold"], int)
    assert len(tasks) == 4


LEARNER = "import time\nfor n in range(400): print(f'reward={n}'); time.sleep(0.02)"


@pytest.mark.parametrize(
    ("threshold", "program", "limit", "code", "shown"),
    [
        (20, LEARNER, "5", 0, " minutes"),
        (500, "print('reward=3')", "5", 1, "not learned within"),
        (500, LEARNER, "0.02", 1, "not learned within 0.02"),
    ],
    ids=["learns", "ends", "takes long"],
)
def test_another_program_is_timed_by_what_it_prints(
    tmp_path, capsys, threshold, program, limit, code, shown
):
    (tmp_path / "program.py").write_text(program)
    words = ["--program", f"{sys.executable} {tmp_path / 'program.py'}", "--limit", limit]
    words += ["--pattern", r"reward=(\d+)", "--threshold", str(threshold), "--window", "2"]
    with pytest.raises(SystemExit) as ended:
        minutes.main([*words, "--logdir", str(tmp_path / "out")])
    assert ended.value.code == code and shown in capsys.readouterr().out


def test_an_earlier_run_is_not_taken_for_this_one(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"eval/return": 9}')
    with pytest.raises(FileExistsError, match="move it"):
        minutes.measure(["true"], tmp_path, 5, 1, lines=tmp_path / "metrics.jsonl")


RECORD = """\
# What stands here stays.
task:
  command: --task a
  threshold: 5
  minutes: {}
"""


def test_ours_are_timed_by_their_evaluations_and_recorded(tmp_path, monkeypatch, capsys):
    record = tmp_path / "minutes.yaml"
    record.write_text(RECORD)

    def measure(words, folder, threshold, limit, *, lines):
        seed = words[words.index("--seed") + 1]
        assert words[2:5] == ["dreamer_tf.apps.train", "--task", "a"] and threshold == 5
        assert lines == folder / "task" / f"seed{seed}" / "metrics.jsonl"
        return None if seed == "1" else 1.26

    monkeypatch.setattr(minutes, "RECORD", record)
    monkeypatch.setattr(minutes, "measure", measure)
    with pytest.raises(SystemExit) as ended:
        minutes.main(["--seeds", "0", "1", "--record", "--logdir", str(tmp_path)])
    assert ended.value.code == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["task, seed 0: 1.3 minutes", "task, seed 1: not learned within 120"]
    written = record.read_text()
    assert written.startswith("# What stands here stays.")
    assert YAML(typ="safe").load(written)["task"]["minutes"] == {0: 1.3, 1: None}
