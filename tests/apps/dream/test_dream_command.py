"""The command: what it says, and what it ends with."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

import dreamer_tf.apps.dream
from dreamer_tf.apps.dream import commands
from tests.apps.dream.small_runs import small_run

ROOT = pathlib.Path(__file__).parents[3]


def complaint(capsys, *argv):
    """What the command complains about, with code 2."""
    with pytest.raises(SystemExit) as stop:
        commands.dream(list(map(str, argv)))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_without_flask_the_extra_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "dreamer_tf.apps.dream.server", raising=False)
    monkeypatch.delattr(dreamer_tf.apps.dream, "server", raising=False)
    told = complaint(capsys, tmp_path)
    assert f"{sys.executable} -m pip install -e" in told and '[dream]"' in told


def test_wrong_options_are_explained(capsys, tmp_path):
    assert "the following arguments are required: RUN" in complaint(capsys)
    assert "expected 0 to 65535, got 70000" in complaint(capsys, tmp_path, "--port", 70000)


def test_what_cannot_be_dreamed_is_explained(capsys, tmp_path):
    pytest.importorskip("flask", reason='flask is missing: pip install "dreamer-tf[dream]"')
    port = ("--port", 0)
    assert "expected a run folder" in complaint(capsys, tmp_path, *port)
    small_run(tmp_path / "early", "dreamerv2", checkpoint=False)
    assert "there is no whole checkpoint" in complaint(capsys, tmp_path / "early", *port)
    small_run(tmp_path / "random", "random")
    assert "'random' has no world model" in complaint(capsys, tmp_path / "random", *port)
    small_run(tmp_path / "bare", "dreamerv2", lengths=())
    assert "there is no episode in" in complaint(capsys, tmp_path / "bare", *port)
    small_run(tmp_path / "damaged", "dreamerv2")
    [episode] = (tmp_path / "damaged" / "replay").iterdir()
    episode.write_bytes(b"nothing")
    said = complaint(capsys, tmp_path / "damaged", *port)
    assert "none of the 1 episodes can be read" in said and "damaged" in said


def test_it_prints_its_address_and_ctrl_c_ends_it(tmp_path):
    pytest.importorskip("flask", reason='flask is missing: pip install "dreamer-tf[dream]"')
    small_run(tmp_path, "dreamerv2")
    command = [sys.executable, "scripts/dream.py", str(tmp_path), "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for name in ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"):
        environment.pop(name, None)  # Set here, they would keep TensorFlow quiet by themselves.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        try:
            assert process.stdout.readline() == (
                "DreamerV2 on Walker Walk, 600 of 1,000 frames: the run is unfinished\n"
            )
            line = process.stdout.readline()
            pattern = r"(http://127\.0\.0\.1:\d+)/(\?token=[\w-]{40,})  \(Ctrl-C ends\)\n"
            address, token = re.fullmatch(pattern, line).groups()
            with urllib.request.urlopen(f"{address}/api/run{token}") as answer:
                assert json.load(answer)["agent"] == "DreamerV2"
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{address}/api/run")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert out == "ended\n"
            assert not re.search("cuda|cuInit|absl", err)
        finally:
            process.kill()
    assert process.returncode == 0
