"""The command ``sweep``: real runs, continuing, failures and exit codes."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from dreamer_tf.apps.sweep import commands
from dreamer_tf.apps.sweep.engines import OUTPUT
from dreamer_tf.runs.run_folder import saved_frames

ROOT = pathlib.Path(__file__).parents[3]
# Two real runs of a few episodes with random actions.
TINY = [
    *("--benchmark", "dmc20", "--configs", "dmc_proprio", "debug", "--seeds", "0"),
    *("--tasks", "dmc_cartpole_swingup", "dmc_cartpole_balance", "--agent", "random"),
    *("--run.eval_every", "0", "--env.workers", "inline", "--steps", "200"),
]
SEARCH = ["--benchmark", "dreamerv3_dmc20", "--dry_run", "--search"]


@pytest.fixture(autouse=True)
def python_path(monkeypatch):
    """Lets the runs' processes find the package wherever the tests are started."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def stopped(capsys, *words):
    """Runs the command, which must end with an exit code; returns it and what was printed."""
    with pytest.raises(SystemExit) as raised:
        commands.sweep([str(word) for word in words])
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return raised.value.code, output.out + output.err


def test_a_sweep_reads_failures_out_and_goes_on_where_it_stopped(tmp_path, capsys):
    logdir = ["--logdir", str(tmp_path)]
    balance, swingup = (tmp_path / f"dmc_cartpole_{n}" / "seed0" for n in ("balance", "swingup"))
    balance.mkdir(parents=True)
    (balance / "replay").write_text("a file where a folder belongs")
    code, output = stopped(capsys, *TINY, *logdir, "--parallel", "2")
    assert code == 1 and "2 runs, 0 finished" in output
    assert "not finished dmc_cartpole_balance seed 0: exit code 2" in output
    assert f"see {balance / OUTPUT}" in output
    assert "finished dmc_cartpole_swingup seed 0 in 0:" in output
    assert "1 runs finished, 1 left" in output
    assert saved_frames(swingup) == 200 and "run folder" in (swingup / OUTPUT).read_text()
    (balance / "replay").unlink()
    commands.sweep([*TINY, *logdir])
    output = capsys.readouterr()
    assert "2 runs, 1 finished" in output.err and "1 runs finished, 0 left" in output.out
    assert "swingup" not in output.out and saved_frames(balance) == 200
    commands.sweep([*TINY, *logdir])
    output = capsys.readouterr()
    assert "2 runs, 2 finished" in output.err and "started" not in output.out
    commands.sweep([*TINY, *logdir, "--steps", "300", "--dry_run"])
    output = capsys.readouterr()
    assert "2 runs, 0 finished" in output.err
    assert len(output.out.splitlines()) == 2 and "--steps 300" in output.out


def test_dry_run_prints_commands_that_train_accepts_and_starts_nothing(tmp_path, capsys):
    commands.sweep([*TINY, "--logdir", str(tmp_path / "a folder"), "--dry_run"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and not list(tmp_path.iterdir())
    words = [*shlex.split(lines[0]), "--print_config"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "a folder/dmc_cartpole_balance/seed0" in done.stdout


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--benchmark", "dmc2"], "did you mean dmc20"),
        (["--benchmark", "dmc20", "--parallel", "0"], "from 1, got 0"),
        (["--benchmark", "dmc20", "--seeds", "a"], "from 0, got a"),
        (["--benchmark", "dmc20", "--bogus", "1"], "bogus"),
        (["--benchmark", "dmc20", "--agent", "none"], "'none'"),
        (["--benchmark", "dmc20", "--tasks", "walker"], "no task of this benchmark"),
        ([*SEARCH, "dreamer.imag_horizon=5..30"], "dreamerv3 does not read dreamer.imag_horizon"),
        ([*SEARCH, "agent=planet|dreamer", "dreamer.imag_horizon=5..30"], "agent planet does not"),
        ([*SEARCH, "seed=1..5"], "--seeds"),
        ([], "--benchmark"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(tmp_path, capsys, words, part):
    code, output = stopped(capsys, *words, "--logdir", tmp_path / "new")
    assert code == 2 and part in output
    assert not (tmp_path / "new").exists()


def test_the_script_shows_help_without_tensorflow():
    command = [sys.executable, "-X", "importtime", str(ROOT / "scripts" / "sweep.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "dmc20" in done.stdout and "--parallel" in done.stdout
    assert "tensorflow" not in done.stderr
