"""Sweeps on a Ray cluster of two nodes and through submitit, both on this machine; searches."""

import contextlib
import json
import os
import signal
import sys
import threading
import time

import pytest

from dreamer_tf import config
from dreamer_tf.apps.sweep import engines, search
from dreamer_tf.apps.sweep.jobs import Job
from dreamer_tf.apps.sweep.runner import Runner

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

STEPS = 100
# What a run does, as far as a sweep can tell: it counts how often it was started, and goes on from
# what it saved; it ends when there is a file that lets it.
PROGRAM = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def save(frames):
    (folder / "checkpoints" / f"00001-frames{frames}-updates1").mkdir(parents=True, exist_ok=True)
def stop(number, frame):
    save(50)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
starts = len(list(folder.glob("start*")))
(folder / f"start{starts}").write_text(str(os.getpid()))
while "wait" in sys.argv[2:] and not (folder.parent / "go").exists():
    time.sleep(0.02)
save(100)
"""


class Scripted(Job):
    @property
    def command(self):
        return [sys.executable, "-c", PROGRAM, str(self.folder), *self.words]


def jobs(folder, *words):
    return [Scripted("task", n, folder / str(n), STEPS, (word,)) for n, word in enumerate(words)]


def runner(engine, parallel=4):
    return Runner(parallel, engine=engine, on_start=lambda job: None, on_end=lambda ended: None)


def wait_for(folder, pattern):
    """Waits until there is such a file."""
    deadline = time.monotonic() + 180  # Ray takes long to start on a busy machine.
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


@contextlib.contextmanager
def beside(function, last=lambda: None):
    """Runs a function in a thread, and then another one, which ends what is waited for meanwhile.

    That one runs whether the first fails or not: a test that fails is one that ends.
    """

    def run():
        try:
            function()
        finally:
            last()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_lost_ray_node_is_no_end_of_its_run(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()
    engine = engines.OnRay(cluster.address, {"cpus": 1})
    started = jobs(tmp_path, "wait", "wait")

    def lose():
        for job in started:
            wait_for(job.folder, "start0")
        cluster.remove_node(node)

    # Both runs share the node that is left: the one that goes on needs the other's place.
    with beside(lose, (tmp_path / "go").touch):
        ended = runner(engine).run(started)
    assert [one.code for one in ended] == [0, 0] and all(one.finished for one in ended)
    assert sorted(len(list(job.folder.glob("start*"))) for job in started) == [1, 2]


def test_ctrl_c_saves_the_runs_on_ray(cluster, tmp_path):
    engine = engines.OnRay(cluster.address, {"cpus": 1})
    started = jobs(tmp_path, "wait", "wait")  # There is room for one, whichever Ray takes.
    stopping = runner(engine)

    def wait():
        wait_for(tmp_path, "*/start0")
        time.sleep(0.5)

    with beside(wait, lambda: os.kill(os.getpid(), signal.SIGINT)):
        ended = stopping.run(started)
    assert stopping.stopped == signal.SIGINT and {one.code for one in ended} == {130}
    (begun,) = tmp_path.glob("*/start0")
    assert (begun.parent / "checkpoints" / "00001-frames50-updates1").is_dir()


def test_submitit_runs_jobs_and_tells_of_failures(tmp_path):
    engine = engines.OnSlurm(tmp_path / "submitit", {"timeout_min": 1}, cluster="local")
    ended = runner(engine).run(jobs(tmp_path, "finish", "finish"))
    assert [one.code for one in ended] == [0, 0] and all(one.finished for one in ended)


def test_a_job_that_slurm_takes_away_saves_and_comes_back(tmp_path):
    job = engines.SlurmJob(jobs(tmp_path, "wait")[0].command, str(tmp_path / "0"))
    codes = []
    with beside(lambda: codes.append(job._run())):
        try:
            wait_for(tmp_path / "0", "start0")
        finally:
            again = job.checkpoint()
    assert codes == [143] and list((tmp_path / "0").glob("checkpoints/*frames50*"))
    assert (again.function.command, again.function.folder) == (job.command, job.folder)


def test_it_does_so_where_the_signal_comes_in_the_thread_that_waits(tmp_path):
    job = engines.SlurmJob(jobs(tmp_path, "wait")[0].command, str(tmp_path / "0"))
    called = []

    def take_away(number, frame):
        if list((tmp_path / "0").glob("start0")):
            signal.setitimer(signal.ITIMER_REAL, 0)
            called.append(job.checkpoint())

    before = signal.signal(signal.SIGALRM, take_away)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        assert job._run() == 143
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(called) == 1


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda folder: engines.OnRay("", {"cores": 1}), "cpus=N and gpus=N, got cores"),
        (lambda folder: engines.OnSlurm(folder, {"tiem": 1}, "local"), "tiem"),
        (lambda folder: engines.resources_from_words(["cpus"]), "name=value, got cpus"),
    ],
)
def test_wrong_resources_are_named(make, part, tmp_path):
    with pytest.raises(config.ConfigError, match=part):
        make(tmp_path)


@pytest.mark.parametrize(
    ("module", "make", "extra"),
    [
        ("ray", lambda folder: engines.OnRay("", {}), "ray"),
        ("submitit", lambda folder: engines.OnSlurm(folder, {}), "slurm"),
        ("optuna", lambda folder: try_search(folder, 1, {}), "search"),
    ],
)
def test_what_is_not_installed_is_named_by_its_extra(module, make, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(config.ConfigError, match=rf"pip install .*\[{extra}\]"):
        make(tmp_path)


# -------------------------------------------------------------------- searches

RATE = "dreamerv3.optimizer.learning_rate"


def try_search(folder, trials, tried, stop_at=None, objective="eval/return", options=()):
    """Searches with runs that are worth minus their learning rate's distance from 1e-4."""

    def plan(place, words):
        return [
            Job("task", seed, place / f"seed{seed}", STEPS, (*options, *words)) for seed in (0, 1)
        ]

    def run(jobs):
        for job in jobs:
            if len(tried) == stop_at:
                raise SystemExit(130)
            rate = float(job.words[job.words.index(f"--{RATE}") + 1])
            tried[job.folder] = rate
            (job.folder / "checkpoints" / f"00001-frames{STEPS}-updates1").mkdir(parents=True)
            lines = [{"step": n, "eval/return": n - 1e4 * abs(rate - 1e-4)} for n in range(5)]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (job.folder / "metrics.jsonl").write_text(text)

    return search.search(
        folder,
        [search.Searched.from_text(f"{RATE}=1e-5..1e-3:log")],
        trials=trials,
        objective=objective,
        seed=0,
        at_once=1,
        plan=plan,
        run=run,
        say=lambda text: None,
    )


def test_a_stopped_search_goes_on_where_it_was(tmp_path):
    whole, tried = {}, {}
    best = try_search(tmp_path / "whole", 6, whole)
    with pytest.raises(SystemExit):
        try_search(tmp_path / "stopped", 6, tried, stop_at=5)  # Within the third trial.
    again = try_search(tmp_path / "stopped", 6, tried)
    assert len(tried) == len(whole) == 12
    assert all(1e-5 <= rate <= 1e-3 for rate in tried.values())
    # Both seeds of a trial have its value, those of the interrupted one too.
    by_trial = {}
    for folder, rate in tried.items():
        by_trial.setdefault(folder.parent.name, set()).add(rate)
    assert len(by_trial) == 6 and all(len(rates) == 1 for rates in by_trial.values())
    for found, values in ((best, whole), (again, tried)):
        nearest = min(abs(rate - 1e-4) for rate in values.values())
        assert found.value == pytest.approx(3 - 1e4 * nearest)  # Of the last three values.
    assert try_search(tmp_path / "stopped", 6, tried).number == again.number and len(tried) == 12
    try_search(tmp_path / "stopped", 8, tried)  # Further trials have values of their own.
    assert len(tried) == 16 and len(set(tried.values())) == 8


def test_a_search_that_was_interrupted_while_it_proposed_goes_on(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    tried = {}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(search, "_words", interrupted)
        try_search(tmp_path, 2, tried)
    assert try_search(tmp_path, 2, tried).value is not None
    assert len(tried) == 4, "two trials of two seeds: the one without values does not count"


def test_a_folder_holds_one_search(tmp_path):
    try_search(tmp_path, 1, {})
    with pytest.raises(config.ConfigError, match=r"objective: eval/return, not"):
        try_search(tmp_path, 1, {}, objective="train/return")
    with pytest.raises(config.ConfigError, match=r"runs: , not --steps 9\)"):
        try_search(tmp_path, 2, {}, options=["--steps", "9"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{RATE}=1e-5..1e-3:log", search.Searched(RATE, 1e-5, 1e-3, log=True)),
        ("dreamerv3.imag_horizon=5..30", search.Searched("dreamerv3.imag_horizon", 5, 30)),
        (
            "dreamerv3.objective=r2|infonce",
            search.Searched("dreamerv3.objective", choices=("r2", "infonce")),
        ),
    ],
)
def test_what_is_searched_is_read(text, expected):
    assert search.Searched.from_text(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("dreamerv3.optimizer.learning_rat=1..2", "learning_rate"),
        (f"{RATE}=1e-3", "low..high"),
        (f"{RATE}=0..1:log", "with low above 0"),
        (f"{RATE}=2..1", "low..high"),
        ("dreamerv3.pyramid.multiples=1..4", "low..high"),
        (f"{RATE}=0..1", r"\(--search\): expected more than 0, got 0.0"),
        ("dreamerv3.imag_horizon=5..9.5", "expected int"),
        ("dreamerv3.objective=r2|infonc", "'infonc'. Did you mean 'infonce'"),
        ("jit=0..1", "expected bool"),
    ],
)
def test_what_cannot_be_searched_is_refused(text, part):
    with pytest.raises(config.ConfigError, match=part):
        search.Searched.from_text(text)
