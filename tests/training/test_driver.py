"""The alignment of actions, observations and rewards, from the environment to the batch."""

import numpy as np
import pytest

from dreamer_tf import specs
from dreamer_tf.envs import VectorEnv
from dreamer_tf.replay import Replay
from dreamer_tf.training.driver import Driver, EpisodeStatistics, HandOver
from tests.counting import CountingEnv, FailingEnv


def counting_policy(arrived, state):
    """Answers observation n of an episode with the action [n, episode] / 100."""
    action = np.concatenate([arrived["count"], arrived["episode"]], axis=-1) / 100
    return {"action": action.astype(np.float32)}, state


def drive(envs, steps, policy=counting_policy):
    rows = [[] for _ in range(len(envs))]
    driver = Driver(envs, [lambda row, stream: rows[stream].append(row)])
    taken = sum(driver.step(policy) for _ in range(steps))
    return [{key: np.stack([row[key] for row in mine]) for key in mine[0]} for mine in rows], taken


def test_rows_hold_the_action_that_led_to_the_observation():
    envs = VectorEnv([lambda: CountingEnv(4), lambda: CountingEnv(6)], seed=0, workers="inline")
    streams, taken = drive(envs, 40)
    for rows, length in zip(streams, (4, 6), strict=True):
        count = np.arange(40) % (length + 1)
        np.testing.assert_array_equal(rows["count"][:, 0], count)
        np.testing.assert_array_equal(rows["is_first"], count == 0)
        np.testing.assert_array_equal(rows["is_last"], count == length)
        np.testing.assert_array_equal(rows["reward"], count)
        decided = np.stack([rows["count"][:, 0] - 1, rows["episode"][:, 0]], axis=-1) / 100
        expected = np.where(rows["is_first"][:, None], 0, decided).astype(np.float32)
        np.testing.assert_array_equal(rows["action"], expected)
        np.testing.assert_array_equal(rows["action"], rows["echo"])
    assert taken == sum((~rows["is_first"]).sum() for rows in streams)


def test_alignment_survives_replay_and_sampling(tmp_path):
    envs = VectorEnv([lambda: CountingEnv(5), lambda: CountingEnv(9)], seed=0, workers="inline")
    spaces = specs.row_spaces(envs.obs_space, envs.act_space)
    replay = Replay(tmp_path, spaces, capacity=0, seed=0)
    driver = Driver(envs, [replay.add])
    for _ in range(60):
        driver.step(counting_policy)
    batch = replay.sample(64, 7).rows
    np.testing.assert_array_equal(batch["action"], batch["echo"])
    np.testing.assert_array_equal(batch["reward"], batch["count"][..., 0])
    decided = np.concatenate([batch["count"] - 1, batch["episode"]], axis=-1) / 100
    expected = np.where(batch["is_first"][..., None], 0, decided).astype(np.float32)
    np.testing.assert_array_equal(batch["action"], expected)
    follows = ~batch["is_first"][:, 1:]
    steps = np.diff(batch["count"][..., 0], axis=1)
    assert (steps[follows] == 1).all()
    assert set(batch["count"][batch["is_last"]].ravel()) == {5, 9}


def test_policy_state_is_handed_on_and_nothing_is_decided_before_a_reset():
    envs = VectorEnv([lambda: CountingEnv(3)], seed=0, workers="inline")
    seen = []

    def policy(arrived, state):
        seen.append((int(arrived["count"][0, 0]), bool(arrived["is_first"][0]), state))
        return {"action": np.zeros((1, 2), np.float32)}, (state or 0) + 1

    drive(envs, 7, policy)
    assert seen == [(0, True, None), (1, False, 1), (2, False, 2), (0, True, 3), (1, False, 4)]


def test_the_episode_of_a_worker_that_died_ends_and_the_next_begins(tmp_path, caplog):
    once = tmp_path / "failed"
    make = [lambda: CountingEnv(4), lambda: FailingEnv("kill", at=2, once=str(once), length=4)]
    with VectorEnv(make, seed=0, workers="process") as envs:
        streams, _ = drive(envs, 10)
    assert "died" in caplog.text
    np.testing.assert_array_equal(streams[0]["count"][:, 0], [0, 1, 2, 3, 4] * 2)
    np.testing.assert_array_equal(streams[1]["count"][:, 0], [0, 1, 1, 0, 1, 2, 3, 4, 0, 1])
    np.testing.assert_array_equal(np.flatnonzero(streams[1]["is_first"]), [0, 3, 8])
    np.testing.assert_array_equal(np.flatnonzero(streams[1]["is_last"]), [2, 7])
    np.testing.assert_array_equal(np.flatnonzero(streams[1]["is_terminal"]), [7])


@pytest.mark.parametrize("at", [0, 1, 5, 8])
def test_hand_over_waits_for_each_episode_to_end(at):
    envs = VectorEnv([lambda: CountingEnv(3), lambda: CountingEnv(5)], seed=0, workers="inline")
    states = {"before": [], "after": []}

    def policy(name, value):
        def act(arrived, state):
            states[name].append(state)
            return {"action": np.full((2, 2), value, np.float32)}, (state or 0) + 1

        return act

    before, after = policy("before", 0.25), policy("after", 0.5)
    rows = []
    driver = Driver(envs, [lambda row, stream: rows.append((stream, row))])
    hand_over = HandOver(before, after, 2)
    for _ in range(at):
        driver.step(hand_over)
    hand_over.begin([99, 99])
    for _ in range(20):
        driver.step(hand_over)
    for stream in range(2):
        mine = [row for owner, row in rows if owner == stream]
        # The first row at or after the switch that begins an episode.
        switch = next(i for i in range(len(mine)) if i >= at - 1 and mine[i]["is_first"])
        acted = [row["action"][0] for row in mine]
        expected = [0.25 if i <= switch else 0.5 for i in range(len(mine))]
        expected = [0 if row["is_first"] else x for row, x in zip(mine, expected, strict=True)]
        np.testing.assert_array_equal(acted, np.array(expected, np.float32))
    # Each policy sees its own states only, from None on.
    for name in states:
        assert states[name] == [None, *range(1, 50)][: len(states[name])]


def row(reward, is_first=False, is_last=False):
    return {"reward": np.float32(reward), "is_first": is_first, "is_last": is_last}


def test_episode_statistics_keep_streams_apart():
    episodes = []
    add = EpisodeStatistics(episodes.append)
    for stream, value in ((0, 0.0), (1, 0.0)):
        add(row(value, is_first=True), stream)
    add(row(1.0), 0)
    add(row(10.0), 1)
    add(row(2.0, is_last=True), 0)
    add(row(5.0, is_first=True), 0)
    add(row(20.0), 1)
    add(row(30.0, is_last=True), 1)
    got = [(episode.score, episode.length, episode.stream) for episode in episodes]
    assert got == [(3.0, 2, 0), (60.0, 3, 1)]


def test_returns_are_summed_without_loss_of_precision():
    episodes = []
    add = EpisodeStatistics(episodes.append)
    add(row(0, is_first=True), 0)
    for _ in range(999):
        add(row(0.1), 0)
    add(row(1e6, is_last=True), 0)
    assert episodes[0].score == 1e6 + 999 * float(np.float32(0.1))


@pytest.mark.parametrize(("patience", "random"), [([0, 0], 0), ([2, 7], 2), ([99, 99], 4)])
def test_hand_over_waits_no_longer_than_its_patience(patience, random):
    envs = VectorEnv([lambda: CountingEnv(6), lambda: CountingEnv(9)], seed=0, workers="inline")

    def policy(value):
        return lambda arrived, state: ({"action": np.full((2, 2), value, np.float32)}, state)

    rows = []
    driver = Driver(envs, [lambda row, stream: rows.append(row) if stream == 0 else None])
    hand_over = HandOver(policy(0.25), policy(0.5), 2)
    for _ in range(3):
        driver.step(hand_over)
    hand_over.begin(patience)
    for _ in range(4):
        driver.step(hand_over)
    # The first environment is at step 2 of 6 at the hand-over.
    assert [row["action"][0] for row in rows[3:]] == [0.25] * random + [0.5] * (4 - random)
