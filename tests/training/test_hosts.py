"""Two processes on this machine that learn together, over the loopback."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dreamer_tf.training import hosts
from tests.training.replica_agents import assert_agree

PROGRAM = [sys.executable, "-m", "tests.training.host_process"]


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
# Below 32768, from where on Linux hands ports out, and others for each worker and each start.
PORTS = itertools.cycle(range(20_000 + 1000 * WORKER, 21_000 + 1000 * WORKER, 2))
for _ in range(os.getpid() % 500):
    next(PORTS)


def free_port():
    """The first of two ports that nobody listens at, nor will before the test does."""
    for port in PORTS:
        with socket.socket() as one, socket.socket() as other, contextlib.suppress(OSError):
            one.bind(("localhost", port))
            other.bind(("localhost", port + 1))
            return port


def test_whoever_follows_is_ended_by_a_signal_while_it_waits():
    port = free_port()
    with subprocess.Popen([*PROGRAM, "1", str(port)]) as process, contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        while True:
            assert process.poll() is None
            with socket.socket() as there:
                if there.connect_ex(("localhost", port + 1)) == 0:
                    break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_all_meet_whoever_comes_first(order):
    port, stop = free_port(), threading.Event()

    def listen(index):
        addresses = f"localhost:{port}", f"localhost:{port + 1}"
        hosts.meet(hosts.Hosts(addresses, index), stop.is_set)
        return socket.create_server(("localhost", port + index))  # As TensorFlow does.

    with ThreadPoolExecutor(2) as executor, contextlib.ExitStack() as stack:
        stack.callback(stop.set)
        for met in [executor.submit(listen, index) for index in order]:
            stack.enter_context(met.result(60))


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
        # Whoever follows leaves it to the chief when to stop, and that hears it.
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            other.send_signal(number)
        chief.send_signal(signal.SIGTERM)
        chief.stdin.write("\n")
        chief.stdin.flush()
        assert chief.stdout.readline() == "updated, and SIGTERM was heard\n", said.read_text()
        other.kill()
        output, _ = chief.communicate("\n", timeout=120)
        assert chief.returncode == 0, said.read_text()
        assert "a process that learned along is gone" in output
        assert "the same command, on as many hosts or on others, goes on from there" in output
    finally:
        for process in (other, chief):
            process.kill()
            process.communicate()
