"""Acting while learning: order, bounds, whole weights, ends, and going on."""

import collections
import functools
import itertools
import json
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf.envs import EnvError
from dreamer_tf.specs import Space
from dreamer_tf.training.guard import NonFiniteError
from dreamer_tf.training.learner import Learner
from dreamer_tf.training.overlap import ActingCopy, OverlapTrainer, UpdateThread
from dreamer_tf.training.pace import Counters
from tests.counting import FailingEnv
from tests.training.conftest import SMALL
from tests.training.counting_agent import CountingAgent, RememberingAgent, SeededEnv
from tests.training.test_agent_runs import OPTIONS, FilmedEnv
from tests.training.test_loop import DOCUMENTATION, metrics, newest_state, scores

OVERLAP = {"run.overlap": True}
WAIT = 60
"""Seconds after which what should happen beside the test counts as never happening."""


@pytest.fixture
def acted(monkeypatch):
    """List of (updates due and not made, updates made) as each action of a run is chosen."""
    seen = []
    act = OverlapTrainer._act

    def note(trainer):
        seen.append((trainer._updates.due, trainer._counters.grad_steps))
        act(trainer)

    monkeypatch.setattr(OverlapTrainer, "_act", note)
    return seen


class Meeting:
    """An update that ends when the environment has gone on, which goes on when it has begun."""

    def __init__(self, update, steps):
        """Names the update by its number, and the steps that it waits for."""
        self.update, self.wanted, self.steps = update, steps, 0
        self.changed = threading.Condition()
        self.has_begun = self.has_met = False

    def begin(self):
        """The update has begun; waits for the steps."""
        with self.changed:
            self.has_begun, self.steps = True, 0
            self.changed.notify_all()
            self.has_met = self.changed.wait_for(lambda: self.steps >= self.wanted, WAIT)

    def step(self, number):
        """A step is taken; some wait for the update to begin."""
        with self.changed:
            if number > 50:
                self.changed.wait_for(lambda: self.has_begun, WAIT)
            self.steps += 1
            self.changed.notify_all()


def test_the_environment_goes_on_within_an_update(run, agents):
    """Were acting to wait for the update, neither would go on."""
    meeting, steps = Meeting(update=3, steps=5), itertools.count()

    class MeetingAgent(CountingAgent):
        def train_step(self, batch, carry):
            result = super().train_step(batch, carry)
            if int(self.updates) == meeting.update:
                meeting.begin()
            return result

    class MeetingEnv(SeededEnv):
        def step(self, action):
            meeting.step(next(steps))
            return super().step(action)

    agents.make.kind = MeetingAgent
    run(env=MeetingEnv, **OVERLAP | {"run.overlap_lag": 100, "run.eval_every": 0})
    assert meeting.has_met


def test_updates_and_curve_are_counted_as_without(run, tmp_path, acted):
    options = {"env": lambda: SeededEnv(10), "steps": 130}
    plain, beside = run("plain", **options), run("beside", **options, **OVERLAP)
    made = 2 + 100 // 4 * 1.5 // 1
    assert int(plain.updates) == int(beside.updates) == made
    state = newest_state(tmp_path / "beside")
    assert state["counters"]["grad_steps"] == made and state["pending_updates"] == 0
    assert scores(tmp_path / "beside")["xs"] == scores(tmp_path / "plain")["xs"]
    at = [
        {
            line["step"]: line["grad_steps"]
            for line in metrics(tmp_path / name)
            if "grad_steps" in line and line["step"] % 40 == 0
        }
        for name in ("plain", "beside")
    ]
    assert at[0] == at[1] and len(at[0]) == 3
    assert len(acted) > 100


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_acting_waits_where_more_updates_are_due_than_the_bound(run, agents, tmp_path, acted, lag):
    class Slow(CountingAgent):
        def train_step(self, batch, carry):
            time.sleep(0.01)
            return super().train_step(batch, carry)

    agents.make.kind = Slow
    run(steps=120, **OVERLAP | {"run.overlap_lag": lag, "run.eval_every": 0})
    bound = lag or 2  # A block of 1.5 updates is one or two.
    assert max(due for due, _ in acted) == bound
    intervals = [line for line in metrics(tmp_path / "run") if "speed/lag" in line]
    assert max(line["speed/lag_max"] for line in intervals) == bound
    assert all(0 <= line["speed/lag"] <= line["speed/lag_max"] for line in intervals)
    assert all(line["time/updating"] > 0 for line in intervals[1:])
    own = [k for k in intervals[-1] if k.startswith("time/") and k[5:] not in ("updating", "data")]
    assert "time/waiting" in own
    assert sum(intervals[-1][key] for key in own) == pytest.approx(1)


def test_no_update_is_made_before_it_is_due(run, acted):
    run(env=lambda: SeededEnv(10), steps=100, **OVERLAP)
    learned = [made for due, made in acted if made]
    # By each frame at most the two of the start and 1.5 in each 4 frames.
    assert max(learned) <= 2 + 70 // 4 * 1.5
    for earlier, later in itertools.pairwise(acted):
        assert sum(later) - sum(earlier) <= 2 + 2


class TwoWeights(CountingAgent):
    """Its update writes two variables with a pause between; each action says what both are."""

    def __init__(self, *args):
        super().__init__(*args)
        self.other = tf.Variable(0, dtype=tf.int64, name="other")
        self.seen = []

    def train_step(self, batch, carry):
        result = super().train_step(batch, carry)
        time.sleep(0.01)
        self.other.assign(self.updates)
        return result

    def policy(self, obs, state=None, mode="train"):
        if mode == "train":
            before = int(self.updates)
            time.sleep(0.002)
            self.seen.append((before, int(self.updates), int(self.other)))
        return super().policy(obs, state, mode)


def test_an_action_comes_from_the_weights_of_one_update_that_is_whole(run, agents, acted):
    agents.make.kind = TwoWeights
    run(steps=120, **OVERLAP | {"run.overlap_lag": 3})
    learner, copy = agents.made[:2]
    assert not learner.seen and len(copy.seen) > 50
    assert {len(set(values)) for values in copy.seen} == {1}
    updates = [values[0] for values in copy.seen]
    assert updates == sorted(updates) and len(set(updates)) > 10
    # The last action was chosen when all updates but the last ones were in its weights.
    assert int(learner.updates) - updates[-1] <= 3 + 2


def test_the_copy_has_draws_of_its_own_and_other_ones_after_a_restart(run, agents):
    class Seeded(CountingAgent):
        def __init__(self, config, *args):
            super().__init__(config, *args)
            self.seed = config.seed

    agents.make.kind = Seeded
    run(steps=80, **OVERLAP)
    run(steps=100, **OVERLAP)
    seeds = [agent.seed for agent in agents.made]
    assert len(seeds) == 4 and seeds[0] == seeds[2] and len({*seeds}) == 3
    # Actions draw nothing of what the updates draw.
    expected = tf.random.Generator.from_key_counter(seeds[0], [0, 0], alg="philox")
    for _ in range(int(agents.made[2].updates)):
        expected.normal([1])
    np.testing.assert_array_equal(agents.made[2].rng.state, expected.state)


# ---- Ends, and going on.


class StopAfter(dreamer_tf.Callback):
    """Stops a run when so many updates are made and more are due."""

    def __init__(self, gate, steps):
        self.gate, self.steps = gate, steps

    def on_episode(self, run, metrics):
        if run.env_frames >= self.steps:
            run.stop("the test says so")
            self.gate.set()


def test_a_stopped_run_keeps_what_is_pending_and_goes_on_with_it_either_way(run, agents, tmp_path):
    """The update that it is in when it is stopped is the last one."""
    gate = threading.Event()

    class Stuck(CountingAgent):
        def train_step(self, batch, carry):
            result = super().train_step(batch, carry)
            assert int(self.updates) != 6 or gate.wait(WAIT)
            return result

    agents.make.kind = Stuck
    options = {"steps": 100, "run.eval_every": 0, "run.overlap_lag": 50}
    stop = StopAfter(gate, steps=70)
    run("stopped", callbacks=[stop], **options, **OVERLAP)
    state = newest_state(tmp_path / "stopped")
    frames, made = state["counters"]["env_frames"], state["counters"]["grad_steps"]
    assert 70 <= frames < 100 and made == 6
    due = 2 + (frames - 30) // 4 * 1.5 // 1
    assert state["pending_updates"] == due - made > 3
    for overlap in (True, False):
        options["steps"] += 20
        agent = run("stopped", **options, **{"run.overlap": overlap})
        state = newest_state(tmp_path / "stopped")
        assert state["pending_updates"] == 0
        assert int(agent.updates) == 2 + (options["steps"] - 30) // 4 * 1.5 // 1


def test_a_checkpoint_is_made_between_two_updates_and_counts_them(run, agents, tmp_path):
    class Looking(dreamer_tf.Callback):
        def on_checkpoint(self, run, path):
            time.sleep(0.005)
            differences.append(int(run.agent.updates) - int(run.agent.other))

    agents.make.kind, differences = TwoWeights, []
    options = {"run.checkpoint_every": 0.05, "run.checkpoint_keep": 1000, "run.eval_every": 0}
    run(steps=60, callbacks=[Looking()], **OVERLAP | options)
    assert not any(differences)  # Nor does one go on while callbacks look.
    paths = sorted((tmp_path / "run" / "checkpoints").iterdir())
    saved = [json.loads((path / "state.json").read_text())["counters"] for path in paths]
    # The last of several after as many frames is the one that is loaded.
    updates = {counters["env_frames"]: counters["grad_steps"] for counters in saved}
    for frames, made in updates.items():
        loaded = dreamer_tf.load(tmp_path / "run", checkpoint=frames)
        assert (int(loaded.updates), int(loaded.other)) == (made, made)
    assert sum(made > 0 for made in updates.values()) > 1


def test_updates_that_fail_end_the_run_saved_with_all_before(run, agents, tmp_path, capsys):
    agents.make.nonfinite = range(5, 100)
    with pytest.raises(NonFiniteError):
        run(steps=100, **OVERLAP | {"run.nonfinite_limit": 3})
    assert "before NonFiniteError ends the run" in capsys.readouterr().out
    counters = newest_state(tmp_path / "run")["counters"]
    # It is noticed when the update after the fourth has been started.
    assert 4 + 4 <= counters["grad_steps"] <= 4 + 5
    assert not updating()
    agents.make.nonfinite = ()
    assert int(run(steps=100, **OVERLAP).updates) == 2 + 70 // 4 * 1.5 // 1


def updating():
    return [thread for thread in threading.enumerate() if thread.name == "updates"]


def test_an_environment_that_fails_ends_the_run_when_the_update_is_whole(run, agents, tmp_path):
    agents.make.kind = TwoWeights
    env = functools.partial(FailingEnv, "key", at=60, length=70)
    with pytest.raises(EnvError):
        run(env=env, steps=200, **OVERLAP | {"replay.ongoing": True})
    agent = dreamer_tf.load(tmp_path / "run")
    made = newest_state(tmp_path / "run")["counters"]["grad_steps"]
    assert int(agent.updates) == int(agent.other) == made > 0
    assert not updating()


def test_what_does_not_go_together_is_refused(train, tmp_path):
    source = train("source", steps=40).logdir
    with pytest.raises(configs.ConfigError, match="nothing acts where recorded"):
        dreamer_tf.fit(source, logdir=tmp_path / "fitted", updates=5, **SMALL | OVERLAP)
    assert not (tmp_path / "fitted").exists()


# ---- The thread alone.


def make_thread(stopped=lambda: False, fail_at=None):
    counters = Counters()

    def make(count, interrupt):
        for _ in range(count):
            counters.grad_steps += 1
            if counters.grad_steps == fail_at:
                raise OSError("no space")
            if interrupt():
                return

    refreshed = collections.Counter()
    thread = UpdateThread(make, counters, lambda: refreshed.update(["all"]), stopped)
    return thread, counters, refreshed


def test_the_thread_makes_what_is_due_and_no_more():
    thread, counters, refreshed = make_thread()
    with thread:
        for count in (1, 5, 0, 100):
            thread.add(count)
        while thread.due:
            thread.wait()
    assert counters.grad_steps == refreshed["all"] == 106 and thread.due == 0


def test_nothing_is_made_while_it_is_held_or_after_a_stop():
    stop = threading.Event()
    thread, counters, _ = make_thread(stop.is_set)
    with thread:
        with thread.held(), thread.held():
            thread.add(3)
            thread.wait()  # Returns, as nobody works.
            assert counters.grad_steps == 0 and thread.due == 3
        while thread.due:
            thread.wait()
        stop.set()
        thread.add(4)
        thread.wait()
    assert counters.grad_steps == 3 and thread.due == 4


def test_an_error_of_the_thread_is_raised_at_the_next_wait_and_at_the_end_at_the_latest():
    thread, counters, _ = make_thread(fail_at=3)
    with pytest.raises(OSError, match="no space"), thread:
        thread.add(10)
        while thread.due:
            thread.wait()
    assert counters.grad_steps == 3 and thread.due == 7
    thread, _, _ = make_thread(fail_at=1)
    with pytest.raises(OSError, match="no space"), thread:
        thread.add(1)
        wait_for_error(thread)


def wait_for_error(thread):
    deadline = time.monotonic() + WAIT
    while thread._error is None and time.monotonic() < deadline:
        time.sleep(0.001)


def test_an_error_of_both_sides_is_that_of_the_main_thread_and_the_other_is_told(caplog):
    thread, _, _ = make_thread(fail_at=1)
    with pytest.raises(KeyError), thread:
        thread.add(1)
        wait_for_error(thread)
        raise KeyError
    assert "updates had failed, too: OSError('no space')" in caplog.text


# ---- With what agents remember, and with agents that have networks.


def test_what_is_remembered_goes_into_the_replay_from_both_sides(run, agents, tmp_path):
    """Rows that nobody learned from hold what the copy remembered; a start is never a wrong one."""
    agents.make.kind = RememberingAgent
    options = {"replay.carry": True, "replay.ongoing": True, "replay.online": 0.5}
    run(steps=300, **OVERLAP | options | {"replay.consecutive": 2, "run.overlap_lag": 6})
    learner = agents.made[0]
    assert len(learner.starts) > 200
    starts = [(rows, seen) for rows, seen in learner.starts if rows]  # The others forget it.
    # Zero is nothing: the seed episodes were played by who remembers nothing.
    assert {seen for rows, seen in starts if seen not in (0, rows)} == set()
    assert sum(seen == rows for rows, seen in starts) > 50


@pytest.mark.parametrize("name", ["dreamerv3", "dreamerv2", "dreamer", "planet"])
def test_a_copy_of_each_agent_acts_as_the_agent_does(name):
    agent, copy = (make_tiny(name, seed) for seed in (0, 1))
    obs = FilmedEnv().reset(3)
    acting = ActingCopy(agent, copy)
    draws = [made.rng.state.numpy() for made in (agent, copy)]
    action = agent.policy(obs, mode="train")[0]["action"]
    assert not np.array_equal(agent.rng.state, copy.rng.state)
    acting.refresh()
    np.testing.assert_array_equal(copy.rng.state, draws[1])  # The draws stay its own.
    copy.rng.reset(draws[0])
    np.testing.assert_array_equal(acting.policy(obs, mode="train")[0]["action"], action)
    pairs = [
        (v.numpy(), w.numpy())
        for n in agent.networks
        for v, w in zip(agent.networks[n].weights, copy.networks[n].weights, strict=True)
    ]
    assert pairs and all(np.array_equal(*pair) for pair in pairs)


def test_a_copy_explores_as_little_as_the_agent_has_learned_to():
    categories = {"action": Space(np.int32, (), 0, 2)}
    agent, copy = (make_tiny("dreamer", seed, categories) for seed in (0, 1))
    acting = ActingCopy(agent, copy)
    agent.model_step.optimizer.iterations.assign(100_000)
    acting.refresh()
    assert int(copy.grad_steps) == 100_000


def make_tiny(name, seed, act_space=None):
    from dreamer_tf import agents

    env = FilmedEnv()
    tf.random.set_seed(seed)
    config = configs.load(["debug"], {"agent": name, "seed": seed}).config
    return agents.make(config, env.obs_space, act_space or env.act_space, None)


def test_a_run_of_a_tiny_agent_with_all_that_it_leaves(tmp_path):
    name = "dreamerv3"
    options = OPTIONS | OVERLAP | {"agent": name, "run.train_updates": 2, "replay.carry": True}
    result = dreamer_tf.train(FilmedEnv, logdir=tmp_path / "run", steps=90, **options)
    state = newest_state(tmp_path / "run")
    due = 2 * (90 - 40) // 10 + configs.load(["debug"], {"agent": name}).config.run.pretrain
    assert state["counters"]["grad_steps"] == due and state["pending_updates"] == 0
    names = {key for line in metrics(tmp_path / "run") for key in line}
    assert {"speed/lag", "speed/lag_max", "time/waiting", "model_loss"} <= names
    text = DOCUMENTATION.read_text(encoding="utf-8")
    documented = {key for key in names if key.startswith(("speed/", "time/"))}
    assert {key for key in documented if f"`{key}`" not in text} == set()
    loaded = dreamer_tf.load(tmp_path / "run")
    for key, network in result.agent.networks.items():
        for mine, theirs in zip(network.weights, loaded.networks[key].weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_without_the_option_updates_are_made_in_the_main_thread(run, monkeypatch):
    threads = set()
    update = Learner.update

    def note(*args):
        threads.add(threading.current_thread().name)
        return update(*args)

    monkeypatch.setattr(Learner, "update", note)
    run(steps=60)
    assert threads == {threading.main_thread().name}
    run("beside", steps=60, **OVERLAP)
    assert threads == {threading.main_thread().name, "updates"}
