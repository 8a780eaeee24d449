"""Worker processes: what they load, when they start, and when they end."""

import argparse
import ctypes
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from dreamer_tf.envs import EnvAbandoned, EnvDied, EnvError, VectorEnv, guardian
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


def test_an_environment_may_import_tensorflow(monkeypatch):
    """Beside a software OpenGL that the worker had loaded before, it would crash."""
    from tests.training.counting_agent import SeededEnv  # Its module does.

    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    vector_env = VectorEnv([SeededEnv], seed=0, workers="process")
    try:
        assert "count" in vector_env.obs_space
    finally:
        vector_env.close()


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
    monkeypatch.setattr("dreamer_tf.envs.process.CLOSING_SECONDS", 0.2)
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


class Restarting(CountingEnv):
    """Begins each episode with a simulator of its own, as far as signals end the last one."""

    def __init__(self, how):
        super().__init__()
        self._how, self._simulator = how, None

    def reset(self, seed):
        if self._simulator:
            getattr(self, f"_{self._how}")()
        if self._how == "fork":
            fork = multiprocessing.get_context("fork")
            self._simulator = fork.Process(target=time.sleep, args=[30], daemon=True)
            self._simulator.start()
        else:
            self._simulator = subprocess.Popen(["sleep", "30"], start_new_session=True)
        return super().reset(seed)

    def _terminate(self):
        self._simulator.terminate()
        assert self._simulator.wait() == -signal.SIGTERM

    def _interrupt(self):
        os.killpg(self._simulator.pid, signal.SIGINT)
        assert self._simulator.wait() == -signal.SIGINT

    def _fork(self):
        self._simulator.terminate()
        self._simulator.join()
        assert self._simulator.exitcode == -signal.SIGTERM


@pytest.mark.parametrize("how", ["terminate", "interrupt", "fork"])
def test_simulators_that_an_environment_starts_can_be_ended(how, caplog):
    with VectorEnv([lambda: Restarting(how)], seed=0, step_timeout=5) as envs:
        for _ in range(2):
            assert envs.step(STEP, [True])["is_first"].all()
    assert not caplog.messages, "no death"


def test_a_death_while_the_run_is_to_stop_is_a_part_of_that():
    with VectorEnv([lambda: FailingEnv("raise", at=1)], seed=0, stopped=lambda: True) as envs:
        envs.step(STEP, [True])
        with pytest.raises(EnvAbandoned, match="(?s)0 died while the run was to stop.*broke"):
            envs.step(STEP, [False])


def test_an_environment_may_parse_the_arguments_of_its_process(host):
    def parses():
        assert argparse.ArgumentParser().parse_args([]) == argparse.ArgumentParser().parse_args()
        return CountingEnv()

    host(parses).wait_until_ready()


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


# ------------------------------------------------------------ hanging, and what is left behind


class Hanging(CountingEnv):
    """Hangs at a step or reset, in the way that it is told to; begins with a process of its own."""

    def __init__(self, how, command="step", children=None):
        super().__init__()
        self._how, self._command = how, command
        if children:
            pids = [self._child(), self._child(start_new_session=True)]
            pathlib.Path(children).write_text(" ".join(map(str, pids)))

    @staticmethod
    def _child(**options):
        return subprocess.Popen(["sleep", "600"], **options).pid

    def reset(self, seed):
        if self._command == "reset":
            self._hang()
        return super().reset(seed)

    def step(self, action):
        self._hang()
        return super().step(action)

    def _hang(self):
        if self._how == "sleep":
            time.sleep(600)
        while self._how == "loop":
            pass
        if self._how == "lock":  # The interpreter's lock is held all the time.
            ctypes.PyDLL(None).sleep(600)
        if self._how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if self._how == "fork":  # Its child holds the socket.
            if os.fork():
                os._exit(3)
            time.sleep(600)


STEP = {"action": np.zeros((1, 2), np.float32)}


@pytest.mark.parametrize(
    ("how", "command", "workers"),
    [
        ("sleep", "reset", "process"),
        ("lock", "step", "process"),
        ("stop", "step", "process"),
        ("sleep", "reset", "inline"),
        ("loop", "step", "inline"),
    ],
)
def test_an_environment_that_hangs_counts_as_dead_and_is_named(how, command, workers, caplog):
    make = [CountingEnv, lambda: Hanging(how, command)]
    with VectorEnv(make, seed=0, step_timeout=0.5, workers=workers) as envs:
        actions = {"action": np.zeros((2, 2), np.float32)}
        if command == "reset":
            with pytest.raises(EnvError, match="environment 1 died 4 times") as raised:
                envs.step(actions, [True, True])
        else:
            envs.step(actions, [True, True])
            assert envs.step(actions, [False, False])["is_last"].tolist() == [False, True]
            assert envs.died.tolist() == [False, True]
            assert envs.step(actions, [False, True])["is_first"].tolist() == [False, True]
    shown = caplog.text + (str(raised.value) if command == "reset" else "")
    assert f"no answer to a {command} for 0.5 seconds (env.step_timeout)" in shown
    assert "Environment 1 died and is built anew" in shown


@pytest.mark.parametrize("workers", ["process", "inline"])
def test_one_that_hangs_while_it_is_built_anew_is_dead(workers, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("dreamer_tf.envs.host._SLOW_SECONDS", 0.1)

    def make():
        if (tmp_path / "built").exists():
            time.sleep(600)
        time.sleep(0.6)  # Longer than the limit: the first start has none.
        (tmp_path / "built").touch()
        return FailingEnv("raise", at=1)

    with VectorEnv([make], seed=0, step_timeout=0.5, workers=workers) as envs:
        assert "an environment is not built after 0.1 seconds" in caplog.text
        assert 0.6 < envs._start_seconds < 60
        envs.step(STEP, [True])
        with pytest.raises(EnvError, match="0 died 4 times.*no answer to a start for"):
            envs.step(STEP, [False])


def test_a_worker_that_died_while_a_child_holds_its_socket_is_dead(caplog):
    with VectorEnv([lambda: Hanging("fork")], seed=0) as envs:
        envs.step(STEP, [True])
        worker = envs._hosts[0].pid
        assert envs.step(STEP, [False])["is_last"].all()
        assert "ended with exit code 3" in caplog.text
        assert not guardian._belonging(worker)


@pytest.mark.parametrize("workers", ["process", "inline"])
@pytest.mark.parametrize("command", ["step", "reset", "start"])
def test_a_stop_does_not_wait_for_an_environment_that_hangs(command, workers, monkeypatch):
    monkeypatch.setattr("dreamer_tf.envs.host.STOPPING_SECONDS", 0.3)

    def make():
        if command == "start":
            time.sleep(600)
        return Hanging("sleep", command)

    envs, stop = None, command == "start"
    began = time.monotonic()
    with pytest.raises(EnvAbandoned, match=f"did not answer to a {command}"):
        envs = VectorEnv([make], seed=0, stopped=lambda: stop, workers=workers)
        if command == "reset":
            stop = True
        envs.step(STEP, [True])
        stop = True
        envs.step(STEP, [False])
    monkeypatch.setattr("dreamer_tf.envs.process.CLOSING_SECONDS", 0.2)
    if envs is not None:
        assert envs.episodes.tolist() == [int(command == "step")], "no reset was made"
        envs.close()
    assert time.monotonic() - began < 30


def test_closing_several_that_hang_takes_no_longer_than_one(monkeypatch):
    monkeypatch.setattr("dreamer_tf.envs.process.CLOSING_SECONDS", 2)
    envs = VectorEnv([lambda: Hanging("sleep")] * 4, seed=0)
    for host in envs._hosts:
        host.send("step", {"action": np.zeros(2, np.float32)})
    began = time.monotonic()
    envs.close()
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("end", ["close", "kill"])
def test_children_of_an_environment_end_with_it(tmp_path, end):
    children = tmp_path / "children"
    envs = VectorEnv([lambda: Hanging("no", children=children)], seed=0)
    pids = [int(pid) for pid in children.read_text().split()]
    if end == "kill":
        envs.step(STEP, [True])
        os.kill(envs._hosts[0].pid, signal.SIGKILL)
        assert envs.step(STEP, [False])["is_last"].all()
        assert gone(pids[0], 5)  # That the other one descended from it can be seen no longer.
        os.kill(pids[1], signal.SIGKILL)
        pids = [int(pid) for pid in children.read_text().split()]
    envs.close()
    assert gone(pids[0], 5)
    os.kill(pids[1], signal.SIGKILL)


@pytest.mark.parametrize("how", ["lock", "stop"])
def test_nothing_outlives_a_trainer_that_is_killed(tmp_path, how):
    children = tmp_path / "children"
    process = python(
        f"""
        import numpy as np
        from dreamer_tf.envs.process import ProcessHost
        from tests.envs.test_worker import Hanging

        host = ProcessHost(lambda: Hanging({how!r}, children={str(children)!r}))
        host.wait_until_ready()
        host.send("reset", 0)
        host.receive()
        host.send("step", {{"action": np.zeros(2, np.float32)}})
        print(host.pid, flush=True)
        host.receive()
        """
    )
    pids = [int(process.stdout.readline()), *map(int, children.read_text().split())]
    time.sleep(0.3)
    assert not any(gone(pid, 0.01) for pid in pids)
    process.kill()
    process.communicate()
    assert all(gone(pid, 10) for pid in pids)
