import json
from fractions import Fraction

import pytest

from dreamer_tf import config as configs
from dreamer_tf.config import ConfigError
from dreamer_tf.training.pace import Counters, Due, Every, Seconds, updates_per_block

BATCH = {"replay.batch_size": 16, "replay.batch_length": 64}


def pace(frames_per_step=1, **options):
    return updates_per_block(configs.load((), BATCH | options).config, frames_per_step)


def test_without_a_ratio_the_number_of_updates_counts():
    assert pace(2, **{"run.train_updates": 0.1}) == Fraction(1, 10)


def test_a_ratio_counts_rows_per_agent_step():
    # A batch has 1024 rows.
    assert pace(**{"run.train_ratio": 1024, "run.train_every": 1}) == 1
    assert pace(**{"run.train_ratio": 32, "run.train_every": 1}) == Fraction(1, 32)
    assert pace(4, **{"run.train_ratio": 32, "run.train_every": 1}) == Fraction(1, 128)
    assert pace(4, **{"run.train_ratio": 256, "run.train_every": 40}) == Fraction(5, 2)


def test_rows_are_replayed_as_often_as_the_ratio_says():
    due = Due(every=1, updates=pace(4, **{"run.train_ratio": 100, "run.train_every": 1}))
    agent_steps, updates = 10_000, 0
    for step in range(0, agent_steps, 8):  # Eight environments side by side.
        updates += due.take((step + 8) * 4)
    assert updates == int(100 * agent_steps / 1024)


def test_the_pace_that_was_given_last_holds(tmp_path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("run: {train_ratio: 64}\n")
    resolved = configs.load(["dmc", str(preset)])
    assert (resolved.config.run.train_updates, resolved.config.run.train_ratio) == (0, 64)
    assert resolved.origins["run.train_updates"] == f"preset {preset}"
    resolved = configs.load([str(preset), "dmc"])
    assert (resolved.config.run.train_updates, resolved.config.run.train_ratio) == (100, 0)
    run = configs.load([str(preset)], ["--run.train_updates", "3"]).config.run
    assert (run.train_updates, run.train_ratio) == (3, 0)
    # As it is saved and read again.
    configs.save(configs.load([str(preset)]).config, tmp_path)
    assert configs.read(tmp_path).run == configs.load([str(preset)]).config.run


def test_two_paces_at_once_are_refused():
    words = ["--run.train_ratio", "64", "--run.train_updates", "3"]
    with pytest.raises(ConfigError, match="command line sets run.train_updates 3.0 and run.train"):
        configs.load([], words)


def test_a_run_learns_at_the_ratio_from_where_it_begins(run):
    pace = {"run.train_ratio": 9, "run.train_updates": 0, "run.train_every": 1, "run.pretrain": 0}
    # One update where learning begins, behind the 30 frames of seed episodes; from there on one in
    # two of the 70 steps left: a batch has 18 rows.
    assert int(run(**pace).updates) == 1 + 35


def test_with_a_ratio_learning_begins_with_as_many_rows_as_a_batch_and_catches_nothing_up(run):
    pace = {"run.train_ratio": 18, "run.train_updates": 0, "run.train_every": 1, "run.pretrain": 0}
    agent = run(
        "ongoing", **pace, **{"run.prefill": 0, "replay.ongoing": True, "replay.sampler": "starts"}
    )
    # Every step from there on has an update. By step 17 there are 18 rows to begin a sequence from:
    # all of the ended episodes, and of the running one those that six rows are known of.
    assert 100 + 1 - int(agent.updates) == 17
    with_updates = run("blocks", **{"run.train_updates": 1, "run.train_every": 1, "run.prefill": 0})
    assert int(with_updates.updates) > int(agent.updates)


def test_due_counts_exactly_what_the_ratio_says():
    due = Due(every=1000, updates=100, start=5000)
    taken = [due.take(frames) for frames in range(5000, 10_001, 2)]
    assert sum(taken) == 500
    assert {count for count in taken if count} == {100}
    assert due.take(10_998) == 0
    assert due.take(11_000) == 100


def test_due_accumulates_fractions_without_losing_any():
    due = Due(every=1, updates=0.1)
    taken = [due.take(frames) for frames in range(1, 10_001)]
    assert sum(taken) == 1000
    assert taken[:20] == ([0] * 9 + [1]) * 2


def test_due_gives_all_updates_of_a_jump():
    due = Due(every=4, updates=0.75)
    assert due.take(400) == 75


def test_due_continues_from_json_in_the_middle_of_a_fraction():
    whole, first, second = (Due(every=3, updates=0.7) for _ in range(3))
    expected = [whole.take(frames) for frames in range(100)]
    got = [first.take(frames) for frames in range(41)]
    second.restore(json.loads(json.dumps(first.state())))
    got += [second.take(frames) for frames in range(41, 100)]
    assert got == expected


def test_due_with_a_new_ratio_owes_nothing_for_the_past():
    old, new = Due(every=10, updates=1), Due(every=1, updates=5)
    old.take(1000)
    new.restore(old.state())
    assert new.take(1002) == 10


@pytest.mark.parametrize(("every", "updates"), [(0, 1), (10, -1)])
def test_due_refuses_a_senseless_ratio(every, updates):
    with pytest.raises(ValueError, match="at least"):
        Due(every, updates)


def test_every_is_due_once_per_multiple_also_after_a_jump():
    every, due = Every(10), []
    for step in (0, 4, 8, 12, 13, 47, 48, 50):
        if every.due(step):
            due.append(step)
            every.mark(step)
    assert due == [12, 47, 50]


def test_every_stays_due_until_marked_and_zero_means_never():
    every = Every(10)
    assert every.due(10) and every.due(11)
    every.mark(11)
    assert not every.due(19)
    assert not Every(0).due(10**9)


def test_every_continues_from_json():
    first, second = Every(10), Every(10)
    first.mark(57)
    second.restore(json.loads(json.dumps(first.state())))
    assert not second.due(59)
    assert second.due(60)


def test_seconds_follow_the_clock():
    time = [100.0]
    seconds = Seconds(5, now=lambda: time[0])
    assert not seconds.due()
    time[0] = 105.0
    assert seconds.due()
    seconds.mark()
    assert not seconds.due()
    time[0] = 1000.0
    assert not Seconds(0, now=lambda: time[0]).due()


def test_another_action_repeat_counts_for_what_comes_and_updates_are_no_frames():
    counters = Counters(env_frames=100, agent_steps=50)
    assert counters.catch_up(50, frames_per_step=4) == 0 and counters.env_frames == 100
    counters.catch_up(60, frames_per_step=4)
    assert counters.env_frames == 140
    for updates, played, frames in ((7, 0, 20), (50, 0, 50), (7, 10, 20)):
        learned = Counters(env_frames=updates, agent_steps=played, grad_steps=updates)
        learned.catch_up(10, frames_per_step=2, fitted=True)
        assert (learned.env_frames, learned.agent_steps) == (frames, 10)


def test_counters_go_forward_to_the_replay_and_never_back():
    counters = Counters(env_frames=100, agent_steps=50, grad_steps=7)
    assert counters.catch_up(40, frames_per_step=2) == 0
    assert (counters.env_frames, counters.agent_steps) == (100, 50)
    assert counters.catch_up(60, frames_per_step=2) == 10
    assert (counters.env_frames, counters.agent_steps, counters.grad_steps) == (120, 60, 7)
