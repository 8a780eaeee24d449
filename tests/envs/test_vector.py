"""Environments side by side."""

import functools
import logging

import numpy as np
import pytest

from dreamer_tf.envs import EnvError, VectorEnv
from dreamer_tf.specs import Space
from tests.counting import CountingEnv, FailingEnv

both = pytest.mark.parametrize("workers", ["process", "inline"])


def run(env, steps, actions=None):
    """Resets where needed; returns the rows."""
    rows, reset = [], np.ones(len(env), bool)
    zeros = {key: np.zeros((len(env), *space.shape), space.dtype)
             for key, space in env.act_space.items()}  # fmt: skip
    for step in range(steps):
        rows.append(env.step(actions[step] if actions else zeros, reset))
        reset = rows[-1]["is_last"]
    return rows


@both
def test_rows_are_stacked_and_each_environment_gets_its_action(workers):
    actions = [{"action": np.float32([[step, 0], [0, step]]) / 8} for step in range(8)]
    makers = [functools.partial(CountingEnv, 5, image=True)] * 2
    with VectorEnv(makers, seed=0, workers=workers) as env:
        assert len(env) == 2 and env.frames_per_step == 1
        rows = run(env, 8, actions)
        np.testing.assert_array_equal(env.render(1), np.full((64, 64, 3), 1, np.uint8))
    assert rows[0]["image"].shape == (2, 64, 64, 3) and rows[0]["image"].dtype == np.uint8
    assert [row["count"][0, 0] for row in rows] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert [bool(row["is_first"][0]) for row in rows] == [row["count"][0, 0] == 0 for row in rows]
    assert [bool(row["is_terminal"][1]) for row in rows] == [row["count"][0] == 5 for row in rows]
    for step in (1, 2, 3, 4, 5, 7):
        np.testing.assert_array_equal(rows[step]["echo"], actions[step]["action"])


@both
def test_only_those_asked_for_reset(workers):
    with VectorEnv([CountingEnv] * 2, seed=0, workers=workers) as env:
        action = {"action": np.zeros((2, 2), np.float32)}
        env.step(action, [True, True])
        env.step(action, [False, False])
        row = env.step(action, [True, False])
        assert row["count"][:, 0].tolist() == [0, 2]
        assert row["is_first"].tolist() == [True, False]
        assert env.episodes.tolist() == [2, 1]


def seeds(env, steps):
    rows = run(env, steps)
    return [row["seed"][row["is_first"], 0].tolist() for row in rows if row["is_first"].any()]


def test_every_episode_has_its_own_seed_and_restore_continues_them():
    make = functools.partial(CountingEnv, 2)
    with VectorEnv([make] * 3, seed=1, workers="inline") as env:
        first = seeds(env, 12)
        assert env.episodes.tolist() == [4, 4, 4]
    flat = sum(first, [])
    assert len(set(flat)) == len(flat) == 12
    with VectorEnv([make] * 3, seed=1, workers="inline") as env:
        assert seeds(env, 6) == first[:2]
        state = env.episodes
    with VectorEnv([make] * 3, seed=1, workers="inline") as env:
        env.restore(state.tolist())
        assert seeds(env, 6) == first[2:]
        with pytest.raises(ValueError, match="expected 3 counts"):
            env.restore([1, 2])
    with VectorEnv([make] * 3, seed=2, workers="inline") as env:
        assert not set(sum(seeds(env, 12), [])) & set(flat)


def test_processes_and_inline_play_the_same():
    played = []
    for workers in ("process", "inline"):
        with VectorEnv([CountingEnv] * 2, seed=4, workers=workers) as env:
            played.append(run(env, 9))
    for row, other in zip(*played, strict=True):
        for key in row:
            np.testing.assert_array_equal(row[key], other[key])


@pytest.mark.parametrize(("workers", "how", "text"), [
    ("process", "exit", "exit code 7"),
    ("process", "kill", "killed by SIGKILL"),
    ("process", "raise", "RuntimeError: the simulator broke"),
    ("inline", "raise", "RuntimeError: the simulator broke"),
])  # fmt: skip
def test_a_death_cuts_the_episode_and_the_run_goes_on(workers, how, text, tmp_path, caplog):
    makers = [CountingEnv, functools.partial(FailingEnv, how, once=str(tmp_path / "failed"))]
    with VectorEnv([CountingEnv] * 2, seed=3, workers="inline") as env:
        expected = run(env, 9)
    with caplog.at_level(logging.WARNING), VectorEnv(makers, seed=3, workers=workers) as env:
        rows = run(env, 9)
        assert env.episodes.tolist() == [2, 2]
    assert "Environment 1 died" in caplog.text and text in caplog.text
    # Row 2 of environment 1 never arrived: the last observation again, reward 0, cut off.
    assert rows[2]["count"][1] == rows[1]["count"][1] == 1
    flags = [rows[2][key][1] for key in ("reward", "is_first", "is_last", "is_terminal")]
    assert flags == [0, False, True, False]
    assert rows[3]["is_first"][1] and rows[4]["count"][1] == 1
    # The other environment saw nothing, and the next episode has the seed it would have had.
    for row, other in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(row["count"][0], other["count"][0])
    assert rows[3]["seed"][1] == expected[6]["seed"][1]


def test_a_death_while_idle_or_resetting_is_repaired(caplog):
    with VectorEnv([CountingEnv], seed=0) as env:
        run(env, 3)
        env._hosts[0]._process.kill()
        env._hosts[0]._process.wait()
        row = env.step({"action": np.zeros((1, 2), np.float32)}, [True])
        assert row["is_first"][0] and env.episodes.tolist() == [2]
        assert "killed by SIGKILL" in caplog.text


def test_dying_again_and_again_stops():
    with (
        VectorEnv([functools.partial(FailingEnv, "raise", at=1)], seed=0, workers="inline") as env,
        pytest.raises(EnvError, match="(?s)environment 0 died 4 times.*the simulator broke"),
    ):
        run(env, 20)


def test_dying_in_every_episode_stops(monkeypatch):
    """As of what raises at its time limit, and not as of what dies now and then."""
    steady = functools.partial(FailingEnv, "raise", at=4)
    with VectorEnv([steady], seed=0, workers="inline") as env:  # noqa: SIM117
        with pytest.raises(
            EnvError, match="(?s)0 dies in every episode, 20 in a row, after 3 to 3 s"
        ):
            run(env, 200)
        assert env.episodes.tolist() == [20]
    monkeypatch.setattr("dreamer_tf.envs.vector._LONG", 3)  # As of what never ends.
    with VectorEnv([steady], seed=0, workers="inline") as env:
        run(env, 200)
        assert env.episodes > 20

    class Fitful(CountingEnv):
        def step(self, action):
            row = super().step(action)
            if self._count == 3 and self._seed % 4:
                raise RuntimeError("now and then")
            return row

    with VectorEnv([Fitful], seed=0, workers="inline") as env:
        rows = run(env, 200)
    cut = [bool(row["is_last"] & ~row["is_terminal"]) for row in rows]
    assert sum(cut) > 20


@both
@pytest.mark.parametrize(("how", "text"), [("nan", "'count'.*NaN"), ("shape", r"shape \(3,\)")])
def test_wrong_values_stop_at_once(workers, how, text):
    makers = [CountingEnv, functools.partial(FailingEnv, how)]
    with (
        VectorEnv(makers, seed=0, workers=workers) as env,
        pytest.raises(EnvError, match=f"environment 1: .*{text}"),
    ):
        run(env, 5)


@both
def test_constructors_that_fail_stop_at_once_with_their_traceback(workers):
    def broken():
        raise KeyError("no such level")

    with pytest.raises(EnvError, match=r"(?s)environment 1.*in broken.*no such level"):
        VectorEnv([CountingEnv, broken], seed=0, workers=workers)
    with pytest.raises(EnvError, match="must return a dreamer_tf.envs.Env, got str"):
        VectorEnv([lambda: "text"], seed=0, workers=workers)


def test_environments_must_agree():
    with pytest.raises(EnvError, match="environment 1 differs"):
        VectorEnv([CountingEnv, lambda: CountingEnv(image=True)], seed=0, workers="inline")


def test_they_may_differ_in_the_bounds_of_observations():
    class Bounded(CountingEnv):
        @property
        def obs_space(self):
            return super().obs_space | {"count": Space(np.float32, (1,), 0, 7)}

    with VectorEnv([CountingEnv, Bounded], seed=0, workers="inline") as env:
        assert len(run(env, 3)) == 3
    assert not Space(np.int32, (), 0, 2).is_like(Space(np.int32, (), 0, 4))


def test_an_error_in_closing_ends_nothing(caplog):
    class Stuck(FailingEnv):
        def close(self):
            raise AttributeError("no viewer")

    with VectorEnv([functools.partial(Stuck, "raise")], seed=0, workers="inline") as env:
        rows = run(env, 4)
    assert rows[-1]["is_first"].shape == (1,)
    assert caplog.text.count("AttributeError: no viewer") == 2 and "built anew" in caplog.text


def test_wrong_calls_say_what_was_expected():
    with pytest.raises(ValueError, match="process, inline, got 'thread'"):
        VectorEnv([CountingEnv], seed=0, workers="thread")
    with VectorEnv([CountingEnv] * 2, seed=0, workers="inline") as env:
        action = {"action": np.zeros((2, 2), np.float32)}
        with pytest.raises(ValueError, match=r"\[1\] have no running episode"):
            env.step(action, [True, False])
        with pytest.raises(ValueError, match=r"expected shape \(2,\), got \(1,\)"):
            env.step(action, [True])
        with pytest.raises(ValueError, match=r"shape \(2, 2\), got \(2, 3\)"):
            env.step({"action": np.zeros((2, 3))}, [True, True])
        with pytest.raises(ValueError, match="action keys.*'move'"):
            env.step({"move": np.zeros((2, 2))}, [True, True])
        env.step(action, [True, True])
        assert env.episodes.tolist() == [1, 1], "refused calls begin nothing"


class Wandering(CountingEnv):
    """What it observes depends on its seed and all its actions."""

    def reset(self, seed):
        self._rng, self._where, self._episode = np.random.default_rng(seed), 0.0, -1
        return super().reset(seed)

    def step(self, action):
        self._where += float(np.sum(action["action"])) + self._rng.normal()
        return super().step(action)

    def _observe(self, action):
        return super()._observe(action) | {"seed": np.float32([self._where])}


def wander(env, driver, steps, reset):
    """Random actions; returns for each environment the rows of its episode so far."""
    episodes = [[] for _ in range(len(env))]
    for _ in range(steps):
        action = driver.uniform(-1, 1, (len(env), 2)).astype(np.float32)
        arrived = env.step({"action": action}, reset)
        for index, rows in enumerate(episodes):
            if reset[index]:
                rows.clear()
            rows.append({k: v[index] for k, v in (arrived | {"action": action}).items()})
        reset = arrived["is_last"]
    return episodes


@both
def test_episodes_are_played_again_up_to_where_they_were(workers):
    make = [functools.partial(Wandering, 7), functools.partial(Wandering, 9)]
    driver = np.random.default_rng(0)
    with VectorEnv(make, seed=3, workers=workers) as env:
        episodes = wander(env, driver, 13, np.ones(2, bool))
        assert [len(rows) for rows in episodes] == [5, 3]
        begun, later = env.episodes, np.random.default_rng(1)
        expected = wander(env, later, 6, np.zeros(2, bool))
    with VectorEnv(make, seed=3, workers=workers) as env:
        env.restore(begun)
        again = dict(enumerate(map(iter, episodes)))
        assert env.play_again(again) == {0: None, 1: None}
        assert env.episodes.tolist() == begun.tolist()
        got = wander(env, np.random.default_rng(1), 6, np.zeros(2, bool))
    for rows, wanted in zip(got, expected, strict=True):
        assert len(rows) == len(wanted)
        for row, other in zip(rows, wanted, strict=True):
            np.testing.assert_equal(row, other)


def test_what_is_different_when_played_again_is_told_and_must_be_reset(tmp_path):
    fails = functools.partial(FailingEnv, "kill", at=2, once=str(tmp_path / "once"))
    with VectorEnv([CountingEnv, Wandering, fails], seed=0) as env:
        (tmp_path / "once").touch()
        episodes = wander(env, np.random.default_rng(0), 4, np.ones(3, bool))
        begun = env.episodes
    (tmp_path / "once").unlink()
    episodes[1][2]["reward"] += 1
    with VectorEnv([CountingEnv, Wandering, fails], seed=0) as env:
        env.restore(begun)
        outcome = env.play_again(dict(enumerate(map(iter, episodes))))
        assert outcome == {0: None, 1: "row 2: 'reward' is not what it was", 2: "row 2: it died"}
        action = {"action": np.zeros((3, 2), np.float32)}
        with pytest.raises(ValueError, match=r"\[1, 2\] have no running episode"):
            env.step(action, [False] * 3)
        arrived = env.step(action, [False, True, True])
        assert arrived["count"][:, 0].tolist() == [4, 0, 0]
        assert env.episodes.tolist() == [1, 2, 2]
