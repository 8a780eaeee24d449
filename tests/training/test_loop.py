"""Whole runs of the counting agent: pacing, repetition, continuation, evaluation, the guard."""

import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import config
from dreamer_tf.envs import EnvError
from dreamer_tf.training import session
from dreamer_tf.training.guard import NonFiniteError
from dreamer_tf.training.stopping import StopSignals
from tests.counting import CountingEnv, FailingEnv
from tests.folders import DOCUMENTATION, metrics, newest_state, replayed, scores
from tests.training.counting_agent import RememberingAgent, SeededEnv

NO_UPDATES = {"run.pretrain": 0, "run.train_updates": 0}


def outcome(agent):
    return agent.weight.numpy().tolist(), int(agent.updates), agent.rng.state.numpy().tolist()


def test_updates_and_frames_are_paced_exactly(run, tmp_path):
    agent = run(env=lambda: CountingEnv(10), steps=130)
    # 2 at the start, then 1.5 in every 4 of the 100 frames after the seed episodes.
    assert int(agent.updates) == 2 + 100 // 4 * 1.5 // 1
    counters = newest_state(tmp_path / "run")["counters"]
    assert counters == {"env_frames": 130, "agent_steps": 130, "grad_steps": 39, "episodes": 13}
    assert agent.batch_shapes == {(3, 6)}


def test_seed_episodes_are_random_and_whole(run, tmp_path):
    run(env=lambda: CountingEnv(10), steps=60, **{"run.prefill": 25, **NO_UPDATES})
    rows = replayed(tmp_path / "run")
    action = rows["action"][:33]
    assert np.abs(action[~rows["is_first"][:33]]).max() > 0.5
    # The agent's own actions are small, and begin with an episode.
    assert np.abs(rows["action"][33:]).max() < 0.25


def test_the_seed_decides_the_run_bit_for_bit_and_each_part_of_it(run, tmp_path):
    first, second = run("a"), run("b")
    assert outcome(first) == outcome(second)
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    a, b = replayed(tmp_path / "a"), replayed(tmp_path / "b")
    assert all(np.array_equal(a[key], b[key]) for key in a)

    # Another one changes each part: what is played in training and in evaluations, what the random
    # agent does at first, what the agent draws, and what it learns from.
    run("c", seed=1)
    c = replayed(tmp_path / "c")
    assert set(a["seed"].ravel()).isdisjoint(c["seed"].ravel())
    assert set(scores(tmp_path / "a")["ys"]).isdisjoint(scores(tmp_path / "c")["ys"])
    assert np.all(a["action"][1] != c["action"][1])
    drawn = []
    for name in ("a", "c"):
        settings = config.read(tmp_path / name)
        agent = session.make_agent(settings, first.obs_space, first.act_space)
        replay = session.make_replay(settings, tmp_path / "a" / "replay", agent)
        drawn.append((set(agent.rng.uniform([99]).numpy()), replay.sample(9, 6).sequences))
    (ours, places), (theirs, others) = drawn
    assert len(ours) > 90 and ours.isdisjoint(theirs) and places != others


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("remembers", [False, True])
def test_a_run_stopped_anywhere_equals_one_that_was_never_stopped(
    run, agents, tmp_path, count, remembers
):
    """Stops before, at and after the end of the seed episodes, and while it learns."""
    options = {"env.count": count, "steps": 160, "run.eval_every": 40}
    if remembers:
        agents.make.kind = RememberingAgent
        options |= {"replay.carry": True, "replay.ongoing": True, "replay.online": 0.5}
    whole = run("whole", **options)
    for steps in (2, 14, 28, 30, 32, 44, 76, 80, 82, 158):
        run("parts", **(options | {"steps": steps}))
    continued = run("parts", **options)
    assert outcome(continued) == outcome(whole)
    assert scores(tmp_path / "parts") == scores(tmp_path / "whole")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert newest_state(tmp_path / "parts") == newest_state(tmp_path / "whole")


def contents(folder, part="replay"):
    """What the files of one of its folders hold."""
    files = [path for path in (folder / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_episode_that_cannot_be_played_again_is_cut_off_kept_and_counted(run, tmp_path, capsys):
    # What this one observes depends on how often the object was reset before.
    run(env=lambda: CountingEnv(10), steps=47)
    assert len(replayed(tmp_path / "run")["count"]) == 44
    run(env=lambda: CountingEnv(10), steps=60)
    assert "cannot be brought to where it was (row 0: 'episode' is not what it was)" in (
        capsys.readouterr().out
    )
    rows = replayed(tmp_path / "run")
    ended = np.flatnonzero(rows["is_last"])
    assert rows["count"][ended].ravel().tolist() == [10, 10, 10, 10, 7, 10]
    assert not rows["is_terminal"][ended[4]]
    starts = json.loads((tmp_path / "run" / "info.json").read_text())
    assert [start["env_frames"] for start in starts] == [0, 47]
    counters = newest_state(tmp_path / "run")["counters"]
    assert (counters["env_frames"], counters["episodes"]) == (60, 6)


def test_a_long_episode_is_not_played_again(run, tmp_path, capsys):
    options = {"env": lambda: CountingEnv(10**9), "env.time_limit": 0, "run.eval_every": 0}
    run(steps=50, **options)
    run(steps=55, **options)
    assert "playing 50 steps again" in capsys.readouterr().out
    run(steps=60, **options, **{"env.resume_steps": 54})
    assert "55 steps are more than env.resume_steps" in capsys.readouterr().out
    assert len(replayed(tmp_path / "run")["count"]) == 56


def test_a_stop_is_heard_while_an_episode_is_played_again(run, tmp_path, monkeypatch):
    stops = []

    class Kept(StopSignals):
        def __init__(self, on_stop):
            super().__init__(on_stop)
            stops.append(self)

    class Long(SeededEnv):
        played, stop_at = 0, None

        def reset(self, seed):
            row = super().reset(seed)
            self._length = 10**9
            return row

        def step(self, action):
            Long.played += 1
            if Long.played == Long.stop_at:
                stops[-1].request(signal.SIGTERM)
            return super().step(action)

    monkeypatch.setattr(session, "StopSignals", Kept)
    options = {"env": Long, "env.time_limit": 0, "run.eval_every": 0, "replay.ongoing": True}
    whole = run("whole", steps=60, **options)
    run(steps=50, **options)
    saved = contents(tmp_path / "run", "checkpoints")
    Long.played, Long.stop_at = 0, 10
    with pytest.raises(SystemExit, match="143"):
        run(steps=60, **options)
    assert Long.played == 10 and contents(tmp_path / "run", "checkpoints") == saved
    Long.stop_at = None
    assert outcome(run(steps=60, **options)) == outcome(whole)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_finished_run_that_is_started_again_has_nothing_to_save_or_tell(run, tmp_path, capsys):
    run(steps=60)
    saved = contents(tmp_path / "run", "checkpoints")
    for _ in range(2):
        run(steps=60)
    assert contents(tmp_path / "run", "checkpoints") == saved
    # But an evaluation that is due now is made, and saved.
    run(steps=60, **{"run.eval_every": 50})
    assert scores(tmp_path / "run")["xs"] == [40, 60]
    assert newest_state(tmp_path / "run")["clocks"]["eval"] == {"last": 60}
    assert "nothing was learned" not in capsys.readouterr().out


def test_action_repeat_counts_frames(run, tmp_path):
    class Twice(CountingEnv):
        frames_per_step = 2

    run(env=lambda: Twice(10), steps=100)
    counters = newest_state(tmp_path / "run")["counters"]
    assert (counters["env_frames"], counters["agent_steps"]) == (100, 50)
    lengths = {line["train/length"] for line in metrics(tmp_path / "run") if "train/length" in line}
    assert lengths == {20}


def test_evaluation_neither_trains_nor_touches_the_replay(run, tmp_path):
    with_evaluation = run("with", **{"run.eval_every": 20, "run.video_every": 40})
    without = run("without", **{"run.eval_every": 0})
    # Evaluation draws nothing from the counting agent's generator, so nothing at all may differ.
    assert outcome(with_evaluation) == outcome(without)
    a, b = replayed(tmp_path / "with"), replayed(tmp_path / "without")
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert len(scores(tmp_path / "with")["ys"]) == 5


def test_evaluations_play_mode_actions_in_episodes_of_their_own(run, tmp_path):
    played = []

    class Recording(CountingEnv):
        def step(self, action):
            row = super().step(action)
            played.append((self, self._seed, self._count, action["action"].tolist()))
            return row

    for steps in (60, 100):
        run(
            env=lambda: Recording(10), steps=steps, **{"run.eval_every": 20, "run.eval_episodes": 2}
        )
    training, evaluating = (list(dict.fromkeys(env for env, *_ in played))[i::2] for i in (0, 1))
    assert len(training) == len(evaluating) == 2
    mine = [step for step in played if step[0] in evaluating]
    assert all(np.allclose(action, (count - 1) / 100) for _, _, count, action in mine)
    # Five evaluations, the last two after a restart, and none plays what another one did.
    assert len(mine) == 5 * 2 * 10
    assert len({seed for _, seed, *_ in mine}) == 5 * 2
    assert {seed for _, seed, *_ in mine}.isdisjoint(
        seed for env, seed, *_ in played if env in training
    )


def test_skipped_updates_are_counted_and_left_out_of_averages(run, agents, tmp_path):
    agents.make.nonfinite = (5, 6, 8)
    run(**{"run.nonfinite_limit": 2})
    counts = [line.get("nonfinite", 0) for line in metrics(tmp_path / "run")]
    assert sum(counts) == 3


def test_too_many_skipped_updates_in_a_row_stop_the_run_with_a_dump(run, agents, tmp_path):
    agents.make.nonfinite = (5, 6, 8, 9, 10, 11)
    with pytest.raises(NonFiniteError, match="3 updates in a row.*nonfinite-10.json"):
        run(**{"run.nonfinite_limit": 2})
    state = newest_state(tmp_path / "run")
    counters = state["counters"]
    # Saved with all updates: the guard looks at one when the next is made.
    assert counters["grad_steps"] == 11
    due = 2 + (counters["env_frames"] - 30) // 4 * 3 // 2
    assert counters["grad_steps"] + state["pending_updates"] == due
    dump = json.loads((tmp_path / "run" / "nonfinite-10.json").read_text())
    assert dump["metrics"] == {"count_loss": "nan", "nonfinite": 1.0}
    assert dump["batch"]["reward"]["shape"] == [3, 6]
    assert dump["batch"]["reward"]["nonfinite"] == 0
    assert dump["batch"]["action"].keys() == {
        *("shape", "dtype", "nonfinite", "min", "mean", "max")
    }


def test_an_agent_without_weights_only_acts(run, tmp_path):
    run(agent="random", **{"run.prefill": 0})
    counters = newest_state(tmp_path / "run")["counters"]
    assert counters["grad_steps"] == 0 and counters["env_frames"] == 100
    assert len(scores(tmp_path / "run")["xs"]) == 2


def test_a_random_run_continues_exactly(run, tmp_path):
    options = {"agent": "random"}
    run("whole", **options)
    run("parts", steps=50, **options)
    run("parts", **options)
    a, b = replayed(tmp_path / "parts"), replayed(tmp_path / "whole")
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert scores(tmp_path / "parts") == scores(tmp_path / "whole")


def test_a_checkpoint_has_the_parts_that_older_run_folders_have(run, tmp_path):
    run(steps=20)
    [path] = (tmp_path / "run" / "checkpoints").iterdir()
    names = {name for name, _ in tf.train.list_variables(str(path / "weights"))}
    assert {name.partition("/")[0] for name in names if ".ATTRIBUTES" in name} >= {
        *("agent", "explorer")
    }


def test_the_replay_ahead_of_the_checkpoint_is_counted_and_not_played_again(run, tmp_path):
    """As after ``kill -9``: the checkpoint is older than the newest episodes."""
    env = lambda: CountingEnv(10)  # noqa: E731
    run(env=env, steps=50)
    state = newest_state(tmp_path / "run")
    run(env=env, steps=80)
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    for file in newest.iterdir():
        file.unlink()
    run(env=env, steps=120)
    starts = json.loads((tmp_path / "run" / "info.json").read_text())
    assert state["counters"]["env_frames"] == 50
    assert [start["env_frames"] for start in starts] == [0, 50, 80]
    seeds = replayed(tmp_path / "run")["seed"][::11, 0]
    assert len(seeds) == 12 == len(set(seeds))
    # The updates that were lost with the checkpoint are made up for.
    assert newest_state(tmp_path / "run")["counters"]["grad_steps"] == 2 + int(90 / 4) * 1.5 // 1


def test_damage_is_set_aside_and_the_run_goes_on(run, tmp_path, caplog):
    run(steps=60)
    run(steps=90)
    checkpoint = max((tmp_path / "run" / "checkpoints").iterdir())
    weights = next(checkpoint.glob("weights.data*"))
    os.truncate(weights, weights.stat().st_size // 2)
    episode = max((tmp_path / "run" / "replay").glob("*.npz"))
    os.truncate(episode, episode.stat().st_size // 2)
    run(steps=150)
    assert checkpoint.with_name(checkpoint.name + ".damaged").is_dir()
    assert episode.with_name(episode.name + ".damaged").is_file()
    assert checkpoint.name in caplog.text and episode.name in caplog.text
    starts = json.loads((tmp_path / "run" / "info.json").read_text())
    # Steps of the damaged episode stay counted.
    assert [start["env_frames"] for start in starts] == [0, 60, 90]
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 150


def test_wrong_values_from_an_environment_stop_the_run(run):
    with pytest.raises(EnvError, match="'count'.*NaN"):
        run(env=lambda: FailingEnv("nan", at=2, length=9))


def test_an_object_as_environment_needs_worker_processes(run):
    with pytest.raises(EnvError, match="pass a function"):
        run(env=CountingEnv(5))


def test_load_and_evaluate_need_no_training(run, tmp_path):
    trained = run(env=lambda: CountingEnv(10))
    agent = dreamer_tf.load(tmp_path / "run")
    assert outcome(agent) == outcome(trained)
    action, state = agent.policy(
        {key: np.zeros(1) for key in ("count", "episode", "seed")} | {"echo": np.zeros(2)}
    )
    assert action["action"].shape == (2,)
    evaluation = dreamer_tf.evaluate(
        tmp_path / "run", 3, env=CountingEnv(10), video=tmp_path / "film.gif", count=2
    )
    assert evaluation.returns == [55.0] * 3 and evaluation.lengths == [10] * 3
    assert (evaluation.mean, evaluation.std) == (55.0, 0.0)
    assert evaluation.video.stat().st_size > 0
    assert outcome(dreamer_tf.load(tmp_path / "run")) == outcome(trained)


def test_an_episode_that_a_death_cut_has_no_return(run, tmp_path):
    once = tmp_path / "died"
    run(env=lambda: FailingEnv("raise", at=3, once=once, length=5), steps=60)
    lines = [line for line in metrics(tmp_path / "run") if "train/length" in line]
    assert {(line["train/return"], line["train/length"]) for line in lines} == {(15, 5)}
    crashed = [
        line["train/crashed"] for line in metrics(tmp_path / "run") if "train/crashed" in line
    ]
    assert crashed == [3]
    assert newest_state(tmp_path / "run")["counters"]["episodes"] == len(lines) + 1
    text = DOCUMENTATION.read_text(encoding="utf-8")
    assert "`train/crashed`" in text


def test_an_environment_that_ends_the_program_does_not_end_it_unsaved(run, tmp_path, capsys):
    class Exiting(CountingEnv):
        steps = 0

        def step(self, action):
            Exiting.steps += 1
            if Exiting.steps == 45:
                raise SystemExit(3)
            return super().step(action)

    with pytest.raises(SystemExit, match="3"):
        run(env=Exiting, **{"run.eval_every": 0})
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 44
    assert "saved at 44 frames, before SystemExit ends the run" in capsys.readouterr().out


def test_the_largest_rewards_end_no_run(run, tmp_path):
    class Huge(CountingEnv):
        def step(self, action):
            return super().step(action) | {"reward": np.float32(-3e38)}

    run(env=Huge, steps=60)
    returns = [line["train/return"] for line in metrics(tmp_path / "run") if "train/return" in line]
    assert min(returns) < -1e39
