"""Updates on two logical CPU devices compute what one device computes."""

import contextlib
import dataclasses
import json
import signal
import types

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import config, nn, ops, world_model
from dreamer_tf.apps import commands
from dreamer_tf.apps.api import training
from dreamer_tf.optim import gradient_step
from dreamer_tf.training import hosts, replicas, session
from dreamer_tf.training.stopping import StopSignals
from dreamer_tf.world_model import effective_rank
from tests.agents import test_dreamer_golden as v1
from tests.agents import test_dreamerv2_golden as v2
from tests.agents import test_dreamerv3_golden as v3
from tests.golden_data import assert_close, read_weights
from tests.golden_v2 import read
from tests.training.counting_agent import CountingAgent, SeededEnv
from tests.training.replica_agents import (
    SETTINGS,
    assert_agree,
    compare,
    make_agent,
    make_config,
    weights,
)

# Before anything runs: afterwards there is no way to get further devices.
THREE = replicas.local_strategy(3)
TWO = replicas.local_strategy(2)


def in_two(function, *rows):
    """What each of two replicas gets from a function of its half of the rows; means as it says."""

    def share(*rows):
        return function(*(tf.split(x, 2)[ops.replica_index()] for x in rows))

    run = tf.function(lambda *rows: TWO.run(share, rows), autograph=False)
    return tf.nest.map_structure(TWO.experimental_local_results, run(*rows))


def test_what_replicas_know_of_each_other():
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    weigh = np.arange(18, dtype=np.float32).reshape(6, 3)
    functions = {
        "mean": lambda x: ops.mean_over_replicas(tf.reduce_mean(x)),
        "std": ops.std_over_replicas,
        "max": ops.max_over_replicas,
        "min": ops.min_over_replicas,
        "gather": ops.gather_over_replicas,
        "classes": lambda x: ops.gather_over_replicas(tf.cast(x > 0, tf.uint8)),
        "share": lambda x: (
            tf.reduce_sum(tf.maximum(x, 0.0)) / ops.count_over_replicas(tf.cast(x > 0, tf.float32))
        ),
        "rank": lambda x: effective_rank(x, rows=3),
    }
    seen = in_two(lambda x: {name: function(x) for name, function in functions.items()}, rows)
    for name, function in functions.items():
        first, second = seen[name]
        if name == "share":  # Of which the replicas' mean is the mean.
            first = second = (first + second) / 2
        for value in (first, second):
            np.testing.assert_allclose(value, function(tf.constant(rows)), rtol=1e-5, err_msg=name)

    def gradient(x, w):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(
                tf.square(ops.gather_over_replicas(x)) * ops.gather_over_replicas(w)
            )
        return tape.gradient(loss, x)

    # Half of what the rows' gradient is: it is the mean over replicas that is to be taken.
    halves = tf.concat(in_two(gradient, rows, weigh), 0) / 2
    np.testing.assert_allclose(halves, gradient(tf.constant(rows), weigh), rtol=1e-5)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.uint8])
def test_replicas_exchange_float32_whatever_is_gathered(monkeypatch, dtype):
    """NCCL knows few types, bfloat16 not among them; logical CPUs know all."""
    exchanged, original = set(), tf.distribute.ReplicaContext.all_reduce

    def all_reduce(context, op, value, options=None):
        exchanged.update(x.dtype for x in tf.nest.flatten(value))
        return original(context, op, value, options)

    monkeypatch.setattr(tf.distribute.ReplicaContext, "all_reduce", all_reduce)
    rows = np.arange(6, dtype=np.float32)
    for seen in in_two(lambda x: ops.gather_over_replicas(tf.cast(x, dtype)), rows):
        assert seen.dtype == dtype
        np.testing.assert_array_equal(tf.cast(seen, tf.float32), rows)
    assert exchanged == {tf.float32}


@pytest.mark.parametrize("objective", [world_model.R2, world_model.InfoNCE])
def test_objectives_compare_the_rows_of_all_replicas(objective):
    projector = nn.Linear(4, use_bias=False)
    projector.build(3)
    objective = objective(projector)
    rng = np.random.default_rng(1)
    feat, embed = (rng.normal(size=(4, 2, size)).astype(np.float32) for size in (3, 4))

    def step(feat, embed):
        with tf.GradientTape() as tape:
            losses, metrics = objective.terms({}, feat, embed)
            loss = tf.reduce_mean(next(iter(losses.values())))
        gradient = tape.gradient(loss, projector.trainable_variables[0].value)
        return {"loss": loss, "gradient": ops.mean_over_replicas(gradient), **metrics}

    expected, seen = step(feat, embed), in_two(step, feat, embed)
    for name, value in expected.items():
        for replica in seen[name]:
            np.testing.assert_allclose(replica, value, rtol=1e-4, atol=1e-6, err_msg=name)


def make_two(cfg):
    agents = replicas.make_agents(make_agent(cfg), lambda: make_agent(cfg), TWO)
    return replicas.ReplicatedUpdate(agents, TWO)


@pytest.mark.parametrize("name", SETTINGS)
def test_two_devices_compute_what_one_computes(name):
    cfg = make_config(name)
    two = make_two(cfg)
    assert_agree(*compare(make_agent(cfg), two.train_step, two.agents[0], 50))
    first, second = map(weights, two.agents)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sum_in_place_of_the_mean_is_seen(monkeypatch):
    def sum_over_replicas(values):
        context = tf.distribute.get_replica_context()
        return context.all_reduce("SUM", values) if ops.replica_count() > 1 else values

    monkeypatch.setattr(gradient_step, "mean_over_replicas", sum_over_replicas)
    cfg = make_config("planet", **{"planet.overshooting_scale": 0.0})
    two = make_two(cfg)
    metric, _, _ = compare(make_agent(cfg), two.train_step, two.agents[0], 2)
    assert metric[0] > 0.5


# ---- The recordings, whose batches are of three sequences, shared by three.


def thrice(make):
    """Three of what ``make`` makes, on a device each."""
    made = []
    for device in THREE.extended.worker_devices:
        with tf.device(device):
            made.append(make())
    return made


def as_one_graph(agents):
    return tf.function(replicas.ReplicatedUpdate(agents, THREE).update, autograph=False)


def test_recorded_update_of_dreamer():
    golden = v1.Golden("v1_agent_pcont")
    agents, places = zip(*thrice(lambda: v1.make_agent(golden)), strict=True)
    metrics, _ = as_one_graph(agents)(v1.recorded_batch(golden), v1.recorded_noise(golden))
    for ours, recorded in [("model", "model"), ("actor", "actor"), ("critic", "value")]:
        assert_close(metrics[f"{ours}_loss"], golden[f"out/{recorded}_loss"])
        norm = golden[f"out/{recorded}_norm"]
        assert_close(metrics[f"{ours}_grad_norm"], norm, tolerance=1e-4)
    after = read_weights(places[0])
    for key, expected in golden.group("after").items():
        assert_close(after[key], expected, name=key)


def test_recorded_update_of_dreamerv2():
    recordings = thrice(lambda: v2.Recording("v2_agent_disc"))
    first = recordings[0]
    with contextlib.ExitStack() as stack:
        for recording in recordings:
            stack.enter_context(recording.vectors())
        update = as_one_graph([recording.agent for recording in recordings])
        metrics, _ = update(first.rows(), first.noise())
    v2.assert_metrics(first, metrics)
    after = read(first.places)
    for name, expected in first.golden.group("after").items():
        assert_close(after[name], expected, name=name)


def test_recorded_updates_of_dreamerv3():
    recordings = thrice(lambda: v3.Recording("v3_agent_disc"))
    first = recordings[0]
    golden, agent = first.golden, first.agent
    update = as_one_graph([recording.agent for recording in recordings])
    carry = agent._to_carry(first.start())
    for step in range(3):
        recorded = golden.group(f"step{step}")
        metrics, _ = update(first.batch(), first.noise(step), carry)
        assert_close(metrics["model_loss"], recorded["total_loss"])
        assert_close(metrics["model_grad_norm"], recorded["grad_norm"], tolerance=1e-4)
        for key, ours in v3.METRICS.items():
            assert_close(metrics[ours], recorded[f"metric/{key}"], name=f"{step} {key}")
        sums = agent.behavior.return_scale.average.sums
        assert_close(sums, np.stack([recorded["retnorm/lo"], recorded["retnorm/hi"]]))
    after = read(first.places)
    for key, expected in golden.group("after").items():
        assert_close(after[key], expected, name=key)


# ---- Runs.

RUN = {
    "agent": "dreamerv3",
    "run.prefill": 0,
    "run.train_ratio": 8,
    "run.train_every": 4,
    "run.eval_every": 0,
    "run.log_every": 8,
    "run.checkpoint_every": 0,
    "replay.carry": True,
    "replay.sampler": "starts",
    "replay.ongoing": True,
    "replay.batch_size": 4,
    "replay.batch_length": 2,
    "dreamerv3.imag_horizon": 1,
    "env.workers": "inline",
    "env.action_repeat": 1,
}


def train(folder, steps, **options):
    return dreamer_tf.train(
        SeededEnv, configs=["debug"], logdir=folder, steps=steps, **(RUN | options)
    ).agent


@pytest.mark.parametrize(
    "parts",
    [[(12, 2), (24, 1)], [(8, 1), (16, 2), (24, 1)]],
)
def test_a_run_goes_on_with_another_number_of_replicas(parts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "write_at_end", lambda folder, tell: None)
    # The learning rate is 0 in the first update and rises slowly: no early rounding is blown up.
    one = train(tmp_path / "one", 24)
    for steps, devices in parts:
        several = train(tmp_path / "several", steps, **{"run.devices": devices})
    assert "2 replicas (CPU:0, CPU:1), each with 2 of the 4 sequences" in capsys.readouterr().out
    assert int(several.step.optimizer.iterations) == int(one.step.optimizer.iterations) > 8
    for a, b in zip(weights(one), weights(several), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)


def test_all_replicas_begin_with_the_weights_of_another_run(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "write_at_end", lambda folder, tell: None)
    train(tmp_path / "earlier", 12)
    made, make = [], replicas.make_agents
    monkeypatch.setattr(
        replicas, "make_agents", lambda *given: made.append(make(*given)) or made[0]
    )
    options = {"run.devices": 2, "run.from_run": str(tmp_path / "earlier"), "seed": 5}
    assert int(train(tmp_path / "run", 16, **options).step.optimizer.iterations) > 4
    for a, b in zip(*map(weights, made[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_of_several_replicas_is_evaluated_reported_and_loaded(tmp_path):
    folder = tmp_path / "run"
    train(folder, 24, **{"run.devices": 2, "run.eval_every": 12, "run.eval_episodes": 1})
    [curve] = json.loads((folder / "scores.json").read_text())
    assert curve["xs"] == [12, 24]
    assert "Learning curves" in (folder / "report.html").read_text()
    assert len(dreamer_tf.evaluate(folder, episodes=2, env=SeededEnv).returns) == 2


def test_a_lost_host_ends_a_run_and_what_was_saved_stays(run, tmp_path, monkeypatch, capsys):
    updates = []

    def lead(self, agent, config, make_agent):
        def train_step(batch, carry):
            updates.append(agent.train_step(batch, carry))
            if len(updates) == 3:
                raise hosts.ReplicaLostError("a process that learned along is gone")
            return updates[-1]

        return types.SimpleNamespace(train_step=train_step, trace_update=agent.trace_update)

    monkeypatch.setattr(replicas.Team, "lead", lead)
    run(steps=60)
    checkpoints = tmp_path / "run" / "checkpoints"
    saved = sorted(path.name for path in checkpoints.iterdir())
    with pytest.raises(SystemExit) as raised, commands.exit_codes():
        run(steps=100, **{"run.devices": 2, "replay.batch_size": 4})
    assert raised.value.code == 1 and len(updates) == 3
    assert "a process that learned along is gone" in capsys.readouterr().err
    assert sorted(path.name for path in checkpoints.iterdir()) == saved
    run(steps=100, **{"run.devices": 1})
    assert len(list(checkpoints.iterdir())) > len(saved)


# ---- What is refused, and what launchers say.


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"replay.batch_size": 5}, "3 replicas cannot share alike; 3 or 6 sequences"),
        ({"jit": True}, "set --jit false"),
        ({"run.overlap": True}, "run.overlap is for one device"),
        ({"dreamerv3.objective": "dreamerpro"}, "reconstruction, r2 and infonce"),
    ],
)
def test_what_several_devices_cannot_do_is_refused(options, part):
    cfg = make_config("dreamerv3", **({"run.devices": 3, "replay.batch_size": 6} | options))
    with pytest.raises(config.ConfigError, match=part):
        hosts.count_replicas(cfg, None)
    assert hosts.count_replicas(dataclasses.replace(cfg, run=config.RunConfig()), None) == 1


def test_too_many_devices_are_refused():
    with pytest.raises(config.ConfigError, match="in a process of its own"):
        replicas.local_strategy(4)


@pytest.mark.parametrize(
    ("cluster", "task", "index"),
    [
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": 1}, 1),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "worker", "index": 0}, 1),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "chief", "index": 0}, 0),
    ],
)
def test_tf_config_says_who_learns_together(cluster, task, index, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    found = hosts.find_hosts(config.Config())
    assert found.addresses == ("a:1", "b:1") and found.index == index
    assert found.is_chief == (index == 0)


def test_a_process_alone_needs_no_launcher(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert hosts.find_hosts(config.Config()) is None
    alone = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(alone))
    assert hosts.find_hosts(config.Config()) is None
    for text in ("{", json.dumps(alone | {"task": {"type": "ps"}})):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(config.ConfigError, match="TF_CONFIG"):
            hosts.find_hosts(config.Config())


def test_whoever_is_not_the_chief_follows_and_makes_no_folder(tmp_path, monkeypatch):
    told = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(told))
    agent = object()
    monkeypatch.setattr(hosts, "follow", lambda config, found, make_agent: agent)
    run = {"configs": ["debug"], "logdir": tmp_path / "run"}
    assert dreamer_tf.train(SeededEnv, **run).agent is agent
    # Nor does it need what is learned from.
    assert dreamer_tf.fit(tmp_path / "not here", **run).agent is agent
    with pytest.raises(config.ConfigError, match="known to this process only"):
        dreamer_tf.train(SeededEnv, agent=CountingAgent, **run)
    assert not (tmp_path / "run").exists()


def test_a_chief_that_waits_for_the_others_is_stopped(run, tmp_path, monkeypatch):
    stops = []

    class Kept(StopSignals):
        def __init__(self, on_stop):
            super().__init__(on_stop)
            stops.append(self)

    def is_heard(address):
        stops[0].request(signal.SIGTERM)
        return False

    told = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(told))
    monkeypatch.setattr(session, "StopSignals", Kept)
    monkeypatch.setattr(hosts, "_is_heard", is_heard)
    with pytest.raises(SystemExit, match="143"):
        run(**{"replay.batch_size": 4})
    assert not (tmp_path / "run").exists()


def test_a_follower_hears_signals_until_the_chief_speaks(monkeypatch):
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before, seen = [signal.signal(number, signal.SIG_DFL) for number in numbers], []

    def look(*_):
        seen.append([signal.getsignal(number) for number in numbers])

    class Chief:
        def __init__(self, hosts):
            pass

        def receive(self):
            look()
            return "end", None

    monkeypatch.setattr(replicas, "cluster_strategy", look)
    monkeypatch.setattr(replicas, "Channel", Chief)
    try:
        replicas.follow(make_config("planet"), hosts.Hosts(("a:1", "b:1"), 1), make_agent)
        look()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert seen == [[signal.SIG_DFL] * 3, [signal.SIG_DFL] * 3, [signal.SIG_IGN] * 3]


def test_a_host_that_is_lost_at_the_end_is_told_and_ends_nothing(monkeypatch, caplog):
    class Gone:
        def __init__(self, hosts):
            pass

        def send(self, value):
            raise tf.errors.UnavailableError(None, None, "connection reset")

    monkeypatch.setattr(replicas, "cluster_strategy", lambda *_: TWO)
    monkeypatch.setattr(replicas, "Channel", Gone)
    team = replicas.Team(make_config("planet"), hosts.Hosts(("a:1", "b:1"), 0))
    team.close()
    assert "a process that learned along was gone at the end (connection reset)" in caplog.text


def test_a_step_of_slurm_says_who_learns_together(monkeypatch):
    slurm = config.Config(run=config.RunConfig(hosts="slurm"))
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(config.ConfigError, match="start it by srun"):
        hosts.find_hosts(slurm)
    step = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "node[1-2]",
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "0",
    }
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    found = hosts.find_hosts(slurm)
    assert found.index == 1 and [a.partition(":")[0] for a in found.addresses] == ["node1", "node2"]
