import threading
import time

import numpy as np
import pytest

from dreamer_tf.replay import Prefetch, Replay
from tests.replay import episodes
from tests.replay.episodes import add_episode, assert_same_batch, check_sequences

SPACES = episodes.make_spaces()


def threads():
    return [thread for thread in threading.enumerate() if "replay-prefetch" in thread.name]


def open_replay(directory):
    replay = Replay(directory, SPACES, capacity=0, seed=1)
    for episode in range(4):
        add_episode(replay, episode, 9)
    return replay


@pytest.fixture
def replays(tmp_path):
    """Two replays of the same episodes and seed."""
    return open_replay(tmp_path / "one"), open_replay(tmp_path / "two")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_blocks_give_the_batches_of_plain_sampling(replays, depth):
    replay, plain = replays
    with Prefetch(replay, batch_size=3, length=4, depth=depth) as prefetch:
        for count in (3, 0, 1, 7):
            with prefetch.block(count) as batches:
                drawn = list(batches)
            assert len(drawn) == count
            for batch in drawn:
                assert_same_batch(batch, plain.sample(3, 4))
            assert replay.state() == plain.state()


@pytest.mark.parametrize("used", [0, 1, 4])
def test_an_interrupted_block_counts_what_it_handed_out(replays, used):
    replay, plain = replays
    with Prefetch(replay, batch_size=3, length=4, depth=3) as prefetch:
        with pytest.raises(KeyboardInterrupt), prefetch.block(9) as batches:
            for _ in range(used):
                assert_same_batch(next(batches), plain.sample(3, 4))
            raise KeyboardInterrupt
        assert replay.state()["batches"] == used == plain.state()["batches"]
        with prefetch.block(2) as batches:
            for batch in batches:
                assert_same_batch(batch, plain.sample(3, 4))


class Numbers:
    """A replay whose batches are numbers."""

    def __init__(self):
        self.drawn = 0

    def sample(self, batch_size, length):
        self.drawn += 1
        return self.drawn

    def state(self):
        return self.drawn

    def restore(self, state):
        self.drawn = state


def test_at_most_depth_batches_are_prepared_ahead():
    ready = threading.Semaphore(0)

    def convert(batch):
        ready.release()
        return batch

    numbers = Numbers()
    with Prefetch(numbers, batch_size=1, length=1, depth=3, convert=convert) as prefetch:
        with prefetch.block(10) as batches:
            for used in range(8):
                for _ in range(3 if used == 0 else 1):
                    assert ready.acquire(timeout=60)
                time.sleep(0.01)
                assert numbers.drawn == used + 3
                assert next(batches) == used + 1
        assert numbers.drawn == 8


def test_conversion_runs_in_the_thread(replays):
    replay, plain = replays

    def convert(batch):
        return threading.current_thread().name, batch

    with (
        Prefetch(replay, batch_size=2, length=3, convert=convert) as prefetch,
        prefetch.block(1) as batches,
    ):
        ((name, batch),) = batches
    assert name.startswith("replay-prefetch")
    assert_same_batch(batch, plain.sample(2, 3))


def test_an_error_in_the_thread_is_raised_where_the_batch_is_asked_for():
    def convert(batch):
        if batch == 3:
            raise ArithmeticError("third batch")
        return batch

    numbers = Numbers()
    with Prefetch(numbers, batch_size=1, length=1, convert=convert) as prefetch:
        with prefetch.block(5) as batches:
            assert [next(batches), next(batches)] == [1, 2]
            with pytest.raises(ArithmeticError, match="third batch"):
                next(batches)
        assert numbers.drawn == 2


def test_an_empty_replay_says_so_through_the_prefetch(tmp_path):
    replay = Replay(tmp_path, SPACES, capacity=0, seed=1)
    with (
        Prefetch(replay, batch_size=1, length=1) as prefetch,
        prefetch.block(1) as batches,
        pytest.raises(RuntimeError, match="no finished episode"),
    ):
        next(batches)


def test_episodes_may_be_added_and_evicted_while_batches_are_drawn(tmp_path):
    replay = Replay(tmp_path, SPACES, capacity=30, seed=1)
    add_episode(replay, 0, 9)
    lengths = {episode: 3 + episode % 7 for episode in range(1, 40)} | {0: 9}
    with (
        Prefetch(replay, batch_size=5, length=6, depth=2) as prefetch,
        prefetch.block(39) as batches,
    ):
        for episode, batch in enumerate(batches, 1):
            add_episode(replay, episode, lengths[episode])
            check_sequences(batch.rows, lengths)
    assert replay.rows <= 30
    assert np.max(replay.sample(20, 6).rows["place"][:, :, 0]) == 39


def test_one_block_at_a_time():
    with (
        Prefetch(Numbers(), batch_size=1, length=1) as prefetch,
        prefetch.block(1) as batches,
    ):
        with pytest.raises(RuntimeError, match="still in use"):
            prefetch.block(1).__enter__()
        assert list(batches) == [1]


def test_close_ends_the_thread():
    prefetch = Prefetch(Numbers(), batch_size=1, length=1)
    with prefetch.block(2) as batches:
        assert list(batches) == [1, 2]
    assert threads()
    prefetch.close()
    assert not threads()


def test_depth_must_be_positive():
    with pytest.raises(ValueError, match="depth.*0"):
        Prefetch(Numbers(), batch_size=1, length=1, depth=0)
