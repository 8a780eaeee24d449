"""Two processes on this machine that learn together, over the loopback."""

import json
import socket
import subprocess
import sys

import pytest

from tests.training.replica_agents import assert_agree

PROGRAM = [sys.executable, "-m", "tests.training.host_process"]


def free_port():
    """The first of two ports that nobody listens at."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("localhost", 0))
        port = one.getsockname()[1]
        try:
            other.bind(("localhost", port + 1))
        except OSError:
            return free_port()
        return port


@pytest.mark.parametrize(
    "names",
    [
        ["dreamerv3"],
        ["planet", "dreamer", "dreamerv2"],
    ],
)
def test_two_processes_compute_what_one_computes_and_notice_when_one_is_killed(names, tmp_path):
    port, said = str(free_port()), tmp_path / "said"
    with said.open("w") as file:
        options = {"stdout": subprocess.PIPE, "text": True, "stderr": file}
        other = subprocess.Popen([*PROGRAM, "1", port, *names], **options)
        chief = subprocess.Popen([*PROGRAM, "0", port, *names], stdin=subprocess.PIPE, **options)
    try:
        for name in names:
            line = chief.stdout.readline()
            assert line, said.read_text()
            told, metric, key, row, weight, digest = json.loads(line)
            assert told == name
            assert_agree((metric, key), row, weight)
            assert other.stdout.readline().strip() == digest  # Equal weights, to the bit.
        other.kill()
        output, _ = chief.communicate("\n", timeout=120)
        assert chief.returncode == 0, said.read_text()
        assert "a process that learned along is gone" in output
        assert "the same command, on as many hosts or on others, goes on from there" in output
    finally:
        for process in (other, chief):
            process.kill()
            process.communicate()
