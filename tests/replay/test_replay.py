import collections
import json
import sys

import numpy as np
import pytest

from dreamer_tf.replay import Replay
from tests.replay import episodes
from tests.replay.episodes import (
    add_episode,
    assert_equal,
    assert_same_batch,
    check_sequences,
    make_row,
)

SPACES = episodes.make_spaces()


def open_replay(directory, capacity=0, seed=3):
    return Replay(directory, SPACES, capacity=capacity, seed=seed)


def fill(replay, lengths):
    for episode, rows in lengths.items():
        add_episode(replay, episode, rows)


def test_batch_has_the_shapes_and_dtypes_of_the_spaces(tmp_path):
    replay = open_replay(tmp_path)
    add_episode(replay, 0, 9)
    batch = replay.sample(3, 5).rows
    assert batch.keys() == SPACES.keys()
    for key, space in SPACES.items():
        assert batch[key].dtype == space.dtype
        assert batch[key].shape == (3, 5, *space.shape)
        assert batch[key].flags.writeable and batch[key].flags.aligned


def test_windows_are_drawn_uniformly(tmp_path):
    replay = open_replay(tmp_path)
    lengths = {0: 3, 1: 7, 2: 12, 3: 5, 4: 40}
    fill(replay, lengths)
    drawn, draws = collections.Counter(), 20_000
    for _ in range(draws // 200):
        first = replay.sample(200, 5).rows["place"][:, 0]
        drawn.update(map(tuple, first.tolist()))
    windows = {(e, s) for e, rows in lengths.items() for s in range(max(rows - 5, 0) + 1)}
    assert drawn.keys() == windows
    expected = draws / len(windows)
    chi_square = sum((drawn[window] - expected) ** 2 / expected for window in windows)
    assert len(windows) == 49
    assert chi_square < 93.4  # The 0.9999 quantile at 48 degrees of freedom.


def test_every_row_can_be_drawn_the_last_included(tmp_path):
    replay = open_replay(tmp_path)
    lengths = {0: 3, 1: 7, 2: 12, 3: 5, 4: 20}
    fill(replay, lengths)
    seen = set()
    for _ in range(30):
        seen.update(map(tuple, replay.sample(20, 5).rows["place"].reshape(-1, 2).tolist()))
    assert seen == {(episode, row) for episode, rows in lengths.items() for row in range(rows)}


def test_sequences_are_rows_in_order_and_short_episodes_are_continued(tmp_path):
    replay = open_replay(tmp_path)
    lengths = {0: 2, 1: 3, 2: 30, 3: 4}
    fill(replay, lengths)
    followers = set()
    for _ in range(20):
        batch = replay.sample(10, 8).rows
        check_sequences(batch, lengths)
        inner = batch["is_first"][:, 1:]
        followers.update(batch["place"][:, 1:][inner][:, 0].tolist())
    assert followers == set(lengths)


def test_one_short_episode_is_enough(tmp_path):
    replay = open_replay(tmp_path)
    add_episode(replay, 0, 3)
    rows = replay.sample(2, 7).rows["place"][:, :, 1]
    np.testing.assert_array_equal(rows, [[0, 1, 2, 0, 1, 2, 0]] * 2)


def test_streams_interleave_and_only_finished_episodes_are_sampled(tmp_path):
    replay = open_replay(tmp_path)
    with pytest.raises(RuntimeError, match="no finished episode"):
        replay.sample(1, 1)
    for row in range(6):
        replay.add(make_row(10, row, 6), stream=0)
        replay.add(make_row(11, row, 9), stream=1)
    assert (replay.episodes, replay.rows, replay.agent_steps) == (1, 6, 5)
    assert set(replay.sample(20, 4).rows["place"][:, :, 0].flat) == {10}
    for row in range(6, 9):
        replay.add(make_row(11, row, 9), stream=1)
    assert set(replay.sample(20, 4).rows["place"][:, :, 0].flat) == {10, 11}
    assert (replay.episodes, replay.rows, replay.agent_steps) == (2, 15, 13)


def test_cut_stores_unfinished_episodes_without_calling_them_terminal(tmp_path):
    replay = open_replay(tmp_path)
    for row in range(4):
        replay.add(make_row(0, row, 100), stream=2)
    replay.add(make_row(1, 0, 100), stream=5)
    replay.cut()
    assert (replay.episodes, replay.rows, replay.agent_steps) == (1, 4, 3)
    batch = replay.sample(1, 4).rows
    np.testing.assert_array_equal(batch["is_last"], [[False, False, False, True]])
    assert not batch["is_terminal"].any()
    add_episode(replay, 2, 3, stream=2)
    assert replay.episodes == 2


def test_rows_are_copied(tmp_path):
    replay = open_replay(tmp_path)
    place = np.zeros(2, np.int32)
    for row in range(3):
        place[:] = (0, row)
        replay.add({**make_row(0, row, 3), "place": place}, 0)
    np.testing.assert_array_equal(replay.sample(1, 3).rows["place"][0], [[0, 0], [0, 1], [0, 2]])


def test_long_episodes_outgrow_the_first_buffer(tmp_path):
    replay = open_replay(tmp_path)
    add_episode(replay, 0, 1100)
    check_sequences(replay.sample(1, 1100).rows, {0: 1100})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"reward": None}, ValueError, "missing 'reward', unexpected none"),
        ({"depth": np.zeros(3)}, ValueError, "missing none, unexpected 'depth'"),
        ({"image": np.zeros((4, 4, 3), np.float32)}, TypeError, "'image'.*float32"),
        ({"action": np.zeros(3, np.float32)}, ValueError, r"'action'.*\(3,\)"),
        ({"reward": np.zeros(1, np.float32)}, ValueError, r"'reward'.*\(1,\)"),
        ({"is_first": np.bool_(False)}, ValueError, "'is_first' is False in row 0"),
    ],
)
def test_wrong_rows_are_refused_by_name(tmp_path, change, error, words):
    row = {
        key: value for key, value in {**make_row(0, 0, 5), **change}.items() if value is not None
    }
    with pytest.raises(error, match=words):
        open_replay(tmp_path).add(row, 0)


def test_an_episode_cannot_begin_within_another(tmp_path):
    replay = open_replay(tmp_path)
    replay.add(make_row(0, 0, 5), 0)
    with pytest.raises(ValueError, match="'is_first' is True in row 1"):
        replay.add(make_row(0, 0, 5), 0)


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_empty_batches_are_refused(tmp_path, size):
    replay = open_replay(tmp_path)
    add_episode(replay, 0, 5)
    with pytest.raises(ValueError, match="at least one sequence"):
        replay.sample(*size)


def test_capacity_evicts_the_oldest_whole_episodes(tmp_path):
    replay = open_replay(tmp_path, capacity=20)
    for episode in range(6):
        add_episode(replay, episode, 6)
        assert replay.rows <= 20
        assert replay.agent_steps == 5 * (episode + 1)
    assert (replay.episodes, replay.rows) == (3, 18)
    assert set(replay.sample(50, 3).rows["place"][:, :, 0].flat) == {3, 4, 5}
    assert len(episodes.episode_files(tmp_path)) == 3
    assert replay.nbytes == sum(path.stat().st_size for path in episodes.episode_files(tmp_path))


def test_the_newest_episode_stays_whatever_the_capacity(tmp_path):
    replay = open_replay(tmp_path, capacity=4)
    fill(replay, {0: 3, 1: 30})
    assert (replay.episodes, replay.rows, replay.agent_steps) == (1, 30, 31)


def test_a_smaller_capacity_holds_from_the_next_start(tmp_path):
    fill(open_replay(tmp_path), {episode: 6 for episode in range(5)})
    replay = open_replay(tmp_path, capacity=12)
    assert replay.excess() == (3, 18) and len(episodes.episode_files(tmp_path)) == 5
    replay.evict()
    assert replay.excess() == (0, 0)
    assert (replay.episodes, replay.rows, replay.agent_steps) == (2, 12, 25)
    assert len(episodes.episode_files(tmp_path)) == 2


def test_negative_capacity_is_refused(tmp_path):
    with pytest.raises(ValueError, match="capacity.*-1"):
        open_replay(tmp_path, capacity=-1)


def test_steps_survive_eviction_and_restart(tmp_path):
    fill(open_replay(tmp_path, capacity=10), {episode: 6 for episode in range(4)})
    replay = open_replay(tmp_path, capacity=10)
    assert replay.agent_steps == 20
    add_episode(replay, 4, 6)
    assert replay.agent_steps == 25


def test_a_restarted_replay_draws_what_an_uninterrupted_one_draws(tmp_path):
    (tmp_path / "a").mkdir()
    straight, broken = open_replay(tmp_path / "a", 60), open_replay(tmp_path / "b", 60)
    for part in range(4):
        for replay in (straight, broken):
            fill(replay, {10 * part + i: 3 + 2 * i for i in range(6)})
            replay.sample(4, 7)
        state = json.loads(json.dumps(broken.state()))
        broken = open_replay(tmp_path / "b", 60)
        broken.restore(state)
        for name in ("rows", "episodes", "nbytes", "agent_steps"):
            assert getattr(broken, name) == getattr(straight, name)
        for _ in range(5):
            assert_same_batch(straight.sample(4, 7), broken.sample(4, 7))


def test_batches_differ_by_number_and_seed(tmp_path):
    add_episode(open_replay(tmp_path), 0, 500)
    one, two = open_replay(tmp_path, seed=1), open_replay(tmp_path, seed=2)
    batches = [one.sample(8, 4), one.sample(8, 4), two.sample(8, 4)]
    starts = [tuple(batch.rows["place"][:, 0, 1].tolist()) for batch in batches]
    assert len(set(starts)) == 3


def test_earlier_batch_sizes_do_not_change_a_batch(tmp_path):
    add_episode(open_replay(tmp_path), 0, 50)
    one, two = open_replay(tmp_path), open_replay(tmp_path)
    one.sample(50, 3)
    two.sample(1, 9)
    assert_same_batch(one.sample(4, 4), two.sample(4, 4))


def test_episodes_are_plain_npz_files(tmp_path):
    fill(open_replay(tmp_path), {0: 5, 1: 7})
    path = tmp_path / "000000002-00007-000000000010.npz"
    with np.load(path) as episode:
        assert set(episode) == SPACES.keys()
        for row in range(7):
            assert_equal({key: episode[key][row] for key in SPACES}, make_row(1, row, 7))


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    for name in ("notes.txt", "extra.npz", "mine.tmp"):
        (tmp_path / name).write_text("keep")
    stale = tmp_path / "000000001-00007-000000000006.npz.tmp"
    stale.write_text("half")
    replay = open_replay(tmp_path)
    assert replay.episodes == 0
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "extra.npz", "mine.tmp"}


def test_importing_the_replay_loads_no_tensorflow():
    code = "import sys, dreamer_tf.replay; sys.exit('tensorflow' in sys.modules)"
    with episodes.start_python("-c", code) as process:
        assert process.wait() == 0
    assert "dreamer_tf.replay" in sys.modules
