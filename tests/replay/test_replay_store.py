import hypothesis
import numpy as np
from hypothesis import strategies

from dreamer_tf.replay.store import EpisodeIndex, EpisodeName


def make_index(lengths):
    names = [EpisodeName(serial + 1, rows, 0) for serial, rows in enumerate(lengths)]
    return EpisodeIndex([(name, 10 * name.rows) for name in names])


def test_episodes_are_found_by_their_serial():
    index = make_index([5, 2, 9])
    index.append(EpisodeName(7, 4, 0), 40)
    index.remove(1)
    assert [index.find(serial) for serial in range(9)] == [None, 0, None, 1, *[None] * 3, 2, None]
    assert index[2] == EpisodeName(7, 4, 0)
    assert [name.serial for name in index.drop_oldest(13)] == [1]
    np.testing.assert_array_equal(index.serials, [3, 7])
    np.testing.assert_array_equal(index.rows, [9, 4])
    np.testing.assert_array_equal(index.nbytes, [90, 40])


@hypothesis.given(
    lengths=strategies.lists(strategies.integers(1, 20), min_size=1, max_size=10),
    capacity=strategies.integers(0, 120),
)
def test_as_few_episodes_as_needed_are_dropped(lengths, capacity):
    index = make_index(lengths)
    dropped = [name.serial for name in index.drop_oldest(capacity)]
    kept = lengths[len(dropped) :]
    assert dropped == list(range(1, len(dropped) + 1))
    assert index.rows.tolist() == kept
    assert len(kept) >= 1
    assert sum(kept) <= capacity or len(kept) == 1
    if dropped:
        assert sum(kept) + lengths[len(dropped) - 1] > capacity
