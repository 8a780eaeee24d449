"""Which sequences are drawn, from catalogues alone."""

import collections
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from dreamer_tf.replay import (
    Consecutive,
    EpisodeEnds,
    FreshFirst,
    UniformStarts,
    UniformWindows,
    samplers,
)
from dreamer_tf.replay.samplers import Catalogue, Piece

SAMPLERS = {
    "windows": UniformWindows,
    "starts": UniformStarts,
    "episode_ends": EpisodeEnds,
    "fresh": lambda: FreshFirst(UniformStarts(), 0.5),
    "consecutive": lambda: Consecutive(FreshFirst(UniformWindows(), 1.0), 3),
}


def make_catalogue(stored, running=()):
    """Episodes of these lengths: serials from 1, running ones with numbers from -1 downwards."""
    episodes = [*range(1, len(stored) + 1), *range(-1, -len(running) - 1, -1)]
    return Catalogue(np.array(episodes), np.array([*stored, *running]), len(running))


def lengths_of(catalogue):
    return dict(zip(catalogue.episodes.tolist(), catalogue.rows.tolist(), strict=True))


def first_places(sequences):
    return [sequence.pieces[0][:2] for sequence in sequences]


class EveryNumber:
    """In place of a generator: draws each number below the bound once."""

    def integers(self, bound, size=None):
        if size is None:
            return 0
        assert size == bound
        return np.arange(bound)


@hypothesis.given(
    name=strategies.sampled_from(sorted(SAMPLERS)),
    stored=strategies.lists(strategies.integers(1, 40), max_size=6),
    running=strategies.lists(strategies.integers(1, 40), max_size=3),
    count=strategies.integers(1, 6),
    length=strategies.integers(1, 30),
    seed=strategies.integers(0, 2**32),
)
@hypothesis.settings(deadline=None)
def test_sequences_are_filled_with_rows_that_exist(name, stored, running, count, length, seed):
    catalogue, rng = make_catalogue(stored, running), np.random.default_rng(seed)
    lengths = lengths_of(catalogue)
    hypothesis.assume(catalogue.windows(length).any())
    sampler = SAMPLERS[name]()
    for _ in range(3):
        sequences = sampler.draw(rng, catalogue, count, length)
        assert len(sequences) == count
        for pieces, _ in sequences:
            assert sum(piece.rows for piece in pieces) == length
            for index, (episode, start, rows) in enumerate(pieces):
                assert rows >= 1 and start >= 0 and start + rows <= lengths[episode]
                if index:
                    assert start == 0
                if index < len(pieces) - 1:
                    # Only an episode that has ended is followed by another.
                    assert episode > 0 and start + rows == lengths[episode]


def test_every_window_is_one_number():
    catalogue = make_catalogue([5, 9, 3, 2], running=[4, 2])
    windows = {1: 3, 2: 7, 3: 1, 4: 1, -1: 2}  # Of 3 rows; 2 rows of a running one are too few.
    expected = [(episode, row) for episode, count in windows.items() for row in range(count)]
    drawn = UniformWindows().draw(EveryNumber(), catalogue, len(expected), 3)
    assert sorted(first_places(drawn)) == sorted(expected)


def test_every_row_of_an_ended_episode_begins_a_sequence():
    catalogue = make_catalogue([5, 1], running=[4, 2])
    starts = {1: 5, 2: 1, -1: 2}
    expected = [(episode, row) for episode, count in starts.items() for row in range(count)]
    drawn = UniformStarts().draw(EveryNumber(), catalogue, len(expected), 3)
    assert sorted(first_places(drawn)) == sorted(expected)


def test_with_uniform_starts_every_row_is_trained_on_equally_often():
    catalogue, rng = make_catalogue([3, 12, 30, 7]), np.random.default_rng(0)
    counts = collections.Counter()
    for pieces, _ in UniformStarts().draw(rng, catalogue, 40_000, 8):
        for episode, start, rows in pieces:
            counts.update((episode, row) for row in range(start, start + rows))
    assert len(counts) == 52
    expected = 40_000 * 8 / 52
    assert all(abs(count / expected - 1) < 0.08 for count in counts.values())


def test_episode_ends_are_preferred_by_the_length_of_a_sequence():
    catalogue, rng = make_catalogue([14, 5, 3]), np.random.default_rng(0)
    draws = 60_000
    drawn = collections.Counter(first_places(EpisodeEnds().draw(rng, catalogue, draws, 5)))
    expected = {(1, row): 1 / 3 / 15 for row in range(9)} | {(1, 9): 6 / 3 / 15}
    expected |= {(2, 0): 1 / 3, (3, 0): 1 / 3}
    assert drawn.keys() == expected.keys()
    for place, share in expected.items():
        assert abs(drawn[place] / draws - share) < 5 * (share / draws) ** 0.5


def test_fresh_sequences_come_once_in_order_and_to_the_last_row():
    sampler, rng = FreshFirst(UniformWindows(), 1.0), np.random.default_rng(0)
    catalogue = make_catalogue([10, 3, 4])
    drawn = sampler.draw(rng, catalogue, 4, 4) + sampler.draw(rng, catalogue, 1, 4)
    assert first_places(drawn) == [(1, 0), (1, 4), (1, 6), (2, 0), (3, 0)]
    # Nothing is left: now everything is drawn from all windows.
    assert len(set(first_places(sampler.draw(rng, catalogue, 200, 4)))) == 9
    catalogue = make_catalogue([10, 3, 4, 5])
    assert first_places(sampler.draw(rng, catalogue, 2, 4)) == [(4, 0), (4, 1)]


def test_the_share_of_fresh_sequences_is_bounded():
    sampler, rng = FreshFirst(EpisodeEnds(), 0.5), np.random.default_rng(0)
    catalogue = make_catalogue([4] * 7)
    batches = [first_places(sampler.draw(rng, catalogue, 5, 4))[:2] for _ in range(3)]
    assert batches == [[(1, 0), (2, 0)], [(3, 0), (4, 0)], [(5, 0), (6, 0)]]
    assert sampler.state()["fresh"]["waiting"] == [(7, 0)]


def test_running_episodes_are_fresh_as_far_as_they_are_known():
    sampler, rng = FreshFirst(UniformWindows(), 1.0), np.random.default_rng(0)

    def draw(catalogue):
        return first_places(sampler.draw(rng, catalogue, 3, 4))

    assert draw(make_catalogue([4], running=[9]))[:3] == [(1, 0), (-1, 0), (-1, 4)]
    assert draw(make_catalogue([4], running=[13, 4]))[:2] == [(-1, 8), (-2, 0)]
    # The first ends with 14 rows: its last window is left, under its new number.
    sampler.stored(-1, 2)
    catalogue = Catalogue(np.array([1, 2, -2]), np.array([4, 14, 5]), 1)
    assert draw(catalogue)[0] == (2, 10)
    # One that began and ended between two draws is all fresh.
    sampler.stored(-3, 3)
    catalogue = Catalogue(np.array([1, 2, 3, -2]), np.array([4, 14, 5, 7]), 1)
    assert draw(catalogue)[:2] == [(3, 0), (3, 1)]


def test_only_the_newest_episodes_wait(monkeypatch):
    monkeypatch.setattr(samplers, "MOST_EPISODES", 3)
    sampler, rng = FreshFirst(UniformWindows(), 1.0), np.random.default_rng(0)
    drawn = sampler.draw(rng, make_catalogue([4] * 9), 2, 4)
    assert first_places(drawn) == [(7, 0), (8, 0)]


def test_what_was_there_before_the_queue_is_not_fresh():
    sampler, rng = FreshFirst(UniformWindows(), 1.0), np.random.default_rng(0)
    sampler.restore({})
    sampler.restore(sampler.state())
    sampler.draw(rng, make_catalogue([4] * 3), 2, 4)
    assert first_places(sampler.draw(rng, make_catalogue([4] * 4), 2, 4))[0] == (4, 0)


def test_consecutive_sequences_go_on_for_so_many_batches():
    sampler, rng = Consecutive(UniformStarts(), 3), np.random.default_rng(0)
    catalogue = make_catalogue([7, 20, 12])
    lengths, before = lengths_of(catalogue), None
    for batch in range(9):
        sequences = sampler.draw(rng, catalogue, 4, 5)
        assert [s.continues for s in sequences] == [batch % 3 > 0] * 4
        for index, (pieces, continues) in enumerate(sequences):
            if continues:
                episode, start, rows = before[index].pieces[-1]
                if start + rows < lengths[episode]:
                    assert pieces[0][:2] == (episode, start + rows)
                else:
                    assert pieces[0].start == 0
        before = sequences


def test_a_sequence_whose_episode_is_gone_begins_anew():
    sampler, rng = Consecutive(UniformWindows(), 100), np.random.default_rng(0)
    sampler.draw(rng, make_catalogue([30]), 2, 3)
    assert all(s.continues for s in sampler.draw(rng, make_catalogue([30]), 2, 3))
    gone = Catalogue(np.array([2]), np.array([30]), 0)
    assert not any(s.continues for s in sampler.draw(rng, gone, 2, 3))
    # Another number of sequences is another batch.
    assert not any(s.continues for s in sampler.draw(rng, gone, 3, 3))


def test_a_sequence_waits_for_a_running_episode_in_another_place():
    sampler, rng = Consecutive(UniformWindows(), 100), np.random.default_rng(0)
    assert first_places(sampler.draw(rng, make_catalogue([], [4]), 1, 4)) == [(-1, 0)]
    [sequence] = sampler.draw(rng, make_catalogue([], [8]), 1, 4)
    assert sequence == ((Piece(-1, 4, 4),), True)
    [sequence] = sampler.draw(rng, make_catalogue([], [10]), 1, 4)
    assert not sequence.continues
    sampler.draw(rng, make_catalogue([], [4]), 1, 4)
    sampler.stored(-1, 1)
    [sequence] = sampler.draw(rng, make_catalogue([9]), 1, 4)
    assert sequence.continues and sequence.pieces[0].episode == 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_restored_sampler_draws_the_same(name):
    straight, broken = SAMPLERS[name](), SAMPLERS[name]()
    for part in range(6):
        catalogue = make_catalogue([9, 14, 3] + [11] * part, running=[5 + part])
        for batch in range(2):
            one, two = (np.random.default_rng([part, batch]) for _ in range(2))
            assert straight.draw(one, catalogue, 4, 5) == broken.draw(two, catalogue, 4, 5)
        state = json.loads(json.dumps(broken.state()))
        broken = SAMPLERS[name]()
        broken.restore(state)
