"""Worker processes: what they load, when they start, and when they end."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from dreamer_tf.envs import EnvDied
from dreamer_tf.envs.process import ProcessHost
from tests.counting import CountingEnv, FailingEnv

ROOT = str(pathlib.Path(__file__).parents[2])


def python(code, **options):
    """A Python process that finds the package and the tests as this one does."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)])}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, **options)


def gone(pid, seconds=60):
    """Whether a process ends in time; one that only waits to be collected has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def host():
    hosts = []

    def start(constructor):
        hosts.append(ProcessHost(constructor))
        return hosts[-1]

    yield start
    for started in hosts:
        started.close()


def modules_seen():
    """An environment whose episode number tells whether heavy packages are loaded."""
    heavy = {"tensorflow", "keras", "dm_control", "gymnasium", "gym", "PIL"} & set(sys.modules)
    return CountingEnv(length=1 + len(heavy))


def test_a_worker_loads_only_what_its_environment_needs(host):
    worker = host(modules_seen)
    worker.wait_until_ready()
    worker.send("reset", 0)
    worker.receive()
    worker.send("step", {"action": np.zeros(2, np.float32)})
    assert worker.receive()["is_last"], "one of the heavy packages is loaded"


def test_importing_environments_and_workers_is_light():
    process = python(
        """
        import sys
        import dreamer_tf.envs, dreamer_tf.envs.worker, dreamer_tf.envs.gym_registry
        import dreamer_tf.envs.dmc
        heavy = {"tensorflow", "keras", "dm_control", "gymnasium", "gym", "PIL", "mujoco"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    assert process.communicate()[0].strip() == "[]"


def test_lambdas_and_classes_of_the_main_module_travel_by_value():
    process = python(
        """
        import numpy as np
        from dreamer_tf import envs
        from tests.counting import CountingEnv

        print("imported")

        class Mine(CountingEnv):
            def _observe(self, echo):
                return {**super()._observe(echo), "count": np.float32([self._count + offset])}

        offset = 40
        env = envs.VectorEnv([lambda: Mine()], seed=0)
        print(env.step({"action": np.zeros((1, 2), np.float32)}, [True])["count"])
        env.close()
        """
    )
    assert process.communicate()[0].split() == ["imported", "[[40.]]"]
    assert process.returncode == 0


def test_a_constructor_that_cannot_be_loaded_says_why(host):
    from dreamer_tf.envs import EnvError

    class Unloadable:
        def __reduce__(self):
            return (__import__, ("module_of_nowhere",))

    with pytest.raises(EnvError, match=r"(?s)could not be loaded.*module_of_nowhere"):
        host(Unloadable()).wait_until_ready()


def test_closing_ends_the_worker(host):
    worker = ProcessHost(CountingEnv)
    worker.wait_until_ready()
    worker.close()
    assert worker._process.returncode == 0


def test_a_worker_that_does_not_answer_is_ended(monkeypatch):
    monkeypatch.setattr("dreamer_tf.envs.process._CLOSING_SECONDS", 0.2)
    worker = ProcessHost(lambda: FailingEnv("hang", at=1))
    worker.wait_until_ready()
    worker.send("reset", 0)
    worker.receive()
    worker.send("step", {"action": np.zeros(2, np.float32)})
    worker.close()
    assert worker._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", [False, True])
def test_workers_end_with_their_parent_also_in_the_middle_of_a_step(step):
    process = python(
        f"""
        import time
        import numpy as np
        from dreamer_tf.envs.process import ProcessHost
        from tests.counting import FailingEnv

        host = ProcessHost(lambda: FailingEnv("hang", at=1))
        host.wait_until_ready()
        host.send("reset", 0)
        host.receive()
        if {step}:
            host.send("step", {{"action": np.zeros(2, np.float32)}})
        print(host.pid, flush=True)
        time.sleep(600)
        """
    )
    pid = int(process.stdout.readline())
    assert not gone(pid, seconds=0.3)
    process.kill()
    process.communicate()
    assert gone(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_left_to_the_parent(host, number):
    worker = host(CountingEnv)
    worker.wait_until_ready()
    assert os.getpgid(worker.pid) != os.getpgid(0), "Ctrl-C goes to the parent's group only"
    os.kill(worker.pid, number)
    worker.send("reset", 0)
    assert worker.receive()["is_first"]


def test_errors_carry_the_worker_traceback(host):
    worker = host(lambda: FailingEnv("raise", at=1))
    worker.wait_until_ready()
    worker.send("reset", 0)
    worker.receive()
    worker.send("step", {"action": np.zeros(2, np.float32)})
    with pytest.raises(EnvDied, match=r"(?s)in _fail.*RuntimeError: the simulator broke"):
        worker.receive()


def test_what_workers_write_to_stderr_passes_through(host, capfd):
    def noisy():
        print("a word from the simulator", file=sys.stderr)
        return CountingEnv()

    host(noisy).wait_until_ready()
    assert "a word from the simulator" in capfd.readouterr().err
