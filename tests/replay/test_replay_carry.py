"""What the agent carried, beside the rows, and episodes sampled while they are played."""

import json
import logging
import os

import numpy as np
import pytest

from dreamer_tf.replay import Consecutive, FreshFirst, Prefetch, Replay, UniformStarts
from dreamer_tf.replay.samplers import Piece, Sampler, Sequence
from dreamer_tf.specs import Space
from tests.replay import episodes
from tests.replay.episodes import assert_same_batch, check_sequences, make_row

SPACES = episodes.make_spaces()
CARRY = {"deter": Space(np.float32, (3,)), "stoch": Space(np.int32, (2,))}


class Chosen(Sampler):
    """Draws the pieces that it is told."""

    def __init__(self):
        self.pieces = []

    def draw(self, rng, catalogue, count, length):
        return [Sequence(tuple(map(Piece._make, pieces))) for pieces in self.pieces]


def open_replay(directory, **options):
    options = {"carry": CARRY, "capacity": 0, "seed": 3, **options}
    return Replay(directory, SPACES, **options)


def carry_at(episode, row):
    """What is carried into a row: nothing into the first."""
    number = 100 * (episode + 1) + row if row else 0
    return {"deter": np.full(3, number, np.float32), "stoch": np.full(2, number, np.int32)}


def add_rows(replay, episode, rows, known=None, stream=0):
    """Adds the first ``known`` rows of an episode with ``rows``, default all of them."""
    for row in range(rows if known is None else known):
        carry = carry_at(episode, row) if replay.carry_space else {}
        replay.add(make_row(episode, row, rows) | carry, stream)


def choose(replay, chosen, pieces):
    chosen.pieces = pieces
    return replay.sample(len(pieces), sum(rows for *_, rows in pieces[0]))


def assert_carry(replay, batch, places, expected=carry_at):
    carry = replay.carry(batch)
    for index, place in enumerate(places):
        for key, value in expected(*place).items():
            np.testing.assert_array_equal(carry[key][index], value)
            assert carry[key].dtype == CARRY[key].dtype


@pytest.fixture
def chosen():
    return Chosen()


def test_a_sequence_begins_with_what_was_carried_into_its_first_row(tmp_path, chosen):
    replay = open_replay(tmp_path, sampler=chosen)
    add_rows(replay, 0, 6)
    add_rows(replay, 1, 9)
    batch = choose(replay, chosen, [[(2, 4, 3)], [(1, 5, 1), (2, 0, 2)], [(2, 0, 3)]])
    assert batch.rows.keys() == SPACES.keys()
    assert_carry(replay, batch, [(1, 4), (0, 5), (1, 0)])


def test_training_refreshes_the_carry_of_the_rows_that_follow(tmp_path, chosen):
    replay = open_replay(tmp_path, sampler=chosen)
    add_rows(replay, 0, 6)
    add_rows(replay, 1, 9)
    batch = choose(replay, chosen, [[(2, 4, 3)], [(1, 5, 1), (2, 0, 2)], [(2, 6, 3)]])
    number = np.arange(9, dtype=np.int32).reshape(3, 3) + 1
    carry = {"deter": -np.repeat(number[..., None], 3, -1).astype(np.float32)}
    carry["stoch"] = np.repeat(number[..., None], 2, -1)
    replay.update(batch, carry)

    # Row -> the number that was written for it; the last row of an episode has none after it.
    written = {(2, 5): 1, (2, 6): 2, (2, 7): 7, (2, 1): 5, (2, 2): 6, (2, 8): 8}
    for reopened in (replay, open_replay(tmp_path, sampler=chosen)):
        for serial, rows in ((1, 6), (2, 9)):
            for row in range(rows - 1):
                batch = choose(reopened, chosen, [[(serial, row, 1)]])
                new = written.get((serial, row))
                if new is None:
                    assert_carry(reopened, batch, [(serial - 1, row)])
                else:
                    carry = reopened.carry(batch)
                    np.testing.assert_array_equal(carry["deter"], np.full((1, 3), -new))
                    np.testing.assert_array_equal(carry["stoch"], np.full((1, 2), new))


def test_rows_of_an_earlier_batch_are_found(tmp_path, chosen):
    replay = open_replay(tmp_path, sampler=chosen)
    for episode in range(3):
        add_rows(replay, episode, 9)
    earlier = choose(replay, chosen, [[(1, 2, 4)], [(2, 6, 3), (3, 0, 1)], [(1, 3, 4)]])
    starts = [(1, 3), (1, 7), (1, 2), (2, 6), (2, 7), (3, 1), (3, 0)]
    later = choose(replay, chosen, [[(*start, 2)] for start in starts])
    # Of row 2 there is one; of row 6 the second; nothing goes before 2, 6 and the first row.
    assert later.rows_before(earlier).tolist() == [0, 11, -1, -1, 4, 7, -1]


def test_episode_files_never_change(tmp_path, chosen):
    replay = open_replay(tmp_path, sampler=chosen)
    add_rows(replay, 0, 6)
    [path] = episodes.episode_files(tmp_path)
    before = path.read_bytes()
    batch = choose(replay, chosen, [[(1, 0, 6)]])
    replay.update(batch, {"deter": np.ones([1, 6, 3]), "stoch": np.ones([1, 6, 2])})
    assert path.read_bytes() == before
    sizes = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 0 < sizes - replay.nbytes < 200  # The header of the carry's file.


def test_the_carry_is_a_plain_npy_file(tmp_path):
    add_rows(open_replay(tmp_path), 0, 6)
    records = np.load(tmp_path / "000000001-00006-000000000005.context.npy")
    np.testing.assert_array_equal(records["deter"][:, 0], [0, 101, 102, 103, 104, 105])
    np.testing.assert_array_equal(records["stoch"][:, 1], [0, 101, 102, 103, 104, 105])


def test_a_file_of_an_older_version_is_read(tmp_path, chosen, caplog):
    """As that version wrote it: the name has its word, the content is plain."""
    add_rows(open_replay(tmp_path), 0, 6)
    [path] = tmp_path.glob("*.context.npy")
    records = np.zeros(6, [("deter", "<f4", (3,)), ("stoch", "<i4", (2,))])
    records["deter"][3], records["stoch"][3] = [1, 2, 3], [4, 5]
    np.save(path, records)
    replay = open_replay(tmp_path, sampler=chosen)
    batch = choose(replay, chosen, [[(1, 3, 2)]])
    carry = replay.carry(batch)
    np.testing.assert_array_equal(carry["deter"], [[1, 2, 3]])
    np.testing.assert_array_equal(carry["stoch"], [[4, 5]])
    assert not caplog.records


def test_evicted_episodes_take_their_carry_with_them(tmp_path, chosen):
    replay = open_replay(tmp_path, sampler=chosen, capacity=12)
    add_rows(replay, 0, 6)
    old = choose(replay, chosen, [[(1, 2, 2)]])
    add_rows(replay, 1, 6)
    add_rows(replay, 2, 6)
    names = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert names == {"000000002", "000000003"} and len(list(tmp_path.iterdir())) == 4
    replay.update(old, {"deter": np.ones([1, 2, 3]), "stoch": np.ones([1, 2, 2])})
    assert_carry(replay, old, [(0, 0)])  # Zeros.
    assert len(list(tmp_path.iterdir())) == 4


DAMAGES = {
    "missing": os.unlink,
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "of another agent": lambda path: np.save(path, np.zeros(6, [("deter", "f4", (4,))])),
}


def test_reading_a_carry_that_is_not_there_writes_none(tmp_path, chosen):
    add_rows(open_replay(tmp_path, carry=None), 0, 6)
    replay = open_replay(tmp_path, sampler=chosen)
    batch = choose(replay, chosen, [[(1, 3, 2)]])
    assert_carry(replay, batch, [(0, 0)])  # Zeros.
    assert len(list(tmp_path.iterdir())) == 1
    replay.update(batch, {"deter": np.ones([1, 2, 3]), "stoch": np.ones([1, 2, 2])})
    [path] = tmp_path.glob("*.context.npy")
    np.testing.assert_array_equal(np.load(path)["deter"][:, 0], [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("write", [False, True])
def test_a_carry_that_is_not_whole_begins_anew(tmp_path, chosen, caplog, damage, write):
    replay = open_replay(tmp_path, sampler=chosen)
    add_rows(replay, 0, 6)
    path = tmp_path / "000000001-00006-000000000005.context.npy"
    DAMAGES[damage](path)
    batch = choose(replay, chosen, [[(1, 3, 2)]])
    with caplog.at_level(logging.WARNING):
        if write:
            replay.update(batch, {"deter": np.ones([1, 2, 3]), "stoch": np.ones([1, 2, 2])})
        assert_carry(replay, batch, [(0, 0)])
    warned = [] if damage == "missing" else [path]
    assert [word for record in caplog.records for word in record.args] == warned
    if write or damage != "missing":
        np.testing.assert_array_equal(np.load(path)["deter"][:, 0], [0, 0, 0, 0, write, write])


def test_what_a_killed_writer_left_is_removed(tmp_path):
    add_rows(open_replay(tmp_path), 0, 6)
    for name in ("000000002-00006-000000000010.context.npy", "000000002-00006-000000000010.npz"):
        (tmp_path / (name + ".tmp")).write_text("half")
    (tmp_path / "000000003-00006-000000000015.context.npy").write_text("without an episode")
    replay = open_replay(tmp_path)
    assert (replay.episodes, len(list(tmp_path.iterdir()))) == (1, 2)


def test_a_replay_without_carry_reads_one_with_it(tmp_path, chosen):
    add_rows(open_replay(tmp_path), 0, 6)
    plain = open_replay(tmp_path, sampler=chosen, carry=None)
    batch = choose(plain, chosen, [[(1, 2, 3)]])
    assert plain.carry(batch) == {} and plain.carry_space == {}
    plain.update(batch, {})
    check_sequences(batch.rows, {0: 6})


def test_rows_must_bring_their_carry(tmp_path):
    with pytest.raises(ValueError, match="missing 'deter', 'stoch', unexpected none"):
        open_replay(tmp_path).add(make_row(0, 0, 5), 0)
    with pytest.raises(ValueError, match=r"\['reward'\] are keys of rows and of the carry"):
        open_replay(tmp_path, carry={"reward": Space(np.float32)})


def test_a_disk_that_is_full_stops_before_the_episode_is_there(tmp_path):
    replay = open_replay(tmp_path)
    name = "000000001-00006-000000000005.context.npy"
    (tmp_path / (name + ".tmp")).symlink_to("/dev/full")
    with pytest.raises(OSError, match="kept in memory"):
        add_rows(replay, 0, 6)
    assert replay.episodes == 0 and not list(tmp_path.iterdir())
    replay.flush()
    assert replay.episodes == 1 and (tmp_path / name).exists()


def test_running_episodes_are_sampled_where_they_are_known(tmp_path):
    replay = open_replay(tmp_path, ongoing=True, sampler=UniformStarts())
    assert not replay.can_sample(4)
    add_rows(replay, 0, 300, known=3)
    assert not replay.can_sample(4)
    with pytest.raises(RuntimeError, match="3 rows of unfinished ones"):
        replay.sample(2, 4)
    add_rows(replay, 1, 300, known=280, stream=1)
    add_rows(replay, 2, 5, stream=2)
    assert replay.can_sample(4)
    rows = replay.sample(2000, 4).rows
    check_sequences(rows, {1: 300, 2: 5})
    assert {*rows["place"][rows["place"][..., 0] == 1][:, 1].tolist()} == set(range(280))


def test_without_ongoing_only_finished_episodes_are_sampled(tmp_path):
    replay = open_replay(tmp_path)
    add_rows(replay, 0, 300, known=200)
    assert not replay.can_sample(4)
    add_rows(replay, 1, 5, stream=1)
    assert replay.can_sample(4)


def test_a_full_replay_can_be_learned_from_however_small(tmp_path):
    replay = open_replay(tmp_path, capacity=20)
    add_rows(replay, 0, 8)
    assert replay.can_sample(4, 8) and not replay.can_sample(4, 24)
    add_rows(replay, 1, 8)
    assert replay.can_sample(4, 24)  # A third episode would cost the first.
    add_rows(replay, 2, 8)
    assert replay.rows == 16 and replay.can_sample(4, 24)


def test_the_carry_of_running_episodes_is_read_refreshed_and_stored(tmp_path, chosen):
    replay = open_replay(tmp_path, sampler=chosen, ongoing=True)
    add_rows(replay, 0, 8, known=5)
    batch = choose(replay, chosen, [[(-1, 2, 3)]])
    assert_carry(replay, batch, [(0, 2)])
    replay.update(batch, {"deter": np.full([1, 3, 3], 7.0), "stoch": np.full([1, 3, 2], 7)})
    for row in range(5, 8):
        replay.add(make_row(0, row, 8) | carry_at(0, row), 0)
    records = np.load(tmp_path / "000000001-00008-000000000007.context.npy")
    # The row that was not there yet has what the agent remembered when it acted.
    np.testing.assert_array_equal(records["deter"][:, 0], [0, 101, 102, 7, 7, 105, 106, 107])


def make_sampler():
    return Consecutive(FreshFirst(UniformStarts(), 0.5), 3)


def play(replay, part):
    add_rows(replay, 10 * part, 9)
    add_rows(replay, 10 * part + 1, 12, known=9, stream=1)
    replay.cut()
    add_rows(replay, 10 * part + 2, 7, stream=2)


def test_a_restarted_replay_draws_what_an_uninterrupted_one_draws(tmp_path):
    options = {"ongoing": True, "capacity": 70}
    straight = open_replay(tmp_path / "a", sampler=make_sampler(), **options)
    broken = open_replay(tmp_path / "b", sampler=make_sampler(), **options)
    for part in range(4):
        for replay in (straight, broken):
            play(replay, part)
            replay.sample(4, 5)
        state = json.loads(json.dumps(broken.state()))
        broken = open_replay(tmp_path / "b", sampler=make_sampler(), **options)
        broken.restore(state)
        for _ in range(5):
            batches = straight.sample(4, 5), broken.sample(4, 5)
            assert_same_batch(*batches)
            for replay, batch in zip((straight, broken), batches, strict=True):
                carry = {"deter": batch.rows["sensors/speed"], "stoch": batch.rows["place"]}
                replay.update(batch, carry)
            carries = straight.carry(batches[0]), broken.carry(batches[1])
            episodes.assert_equal(*carries)


@pytest.mark.parametrize("used", [0, 1, 4])
def test_prefetching_does_not_move_the_sampler(tmp_path, used):
    replays = []
    for name in "ab":
        replay = open_replay(tmp_path / name, sampler=make_sampler(), ongoing=True)
        play(replay, 0)
        add_rows(replay, 5, 50, known=30)
        replays.append(replay)
    replay, plain = replays
    with Prefetch(replay, batch_size=3, length=4, depth=3) as prefetch:
        for count in (used, 2):
            with prefetch.block(9) as batches:
                for _ in range(count):
                    assert_same_batch(next(batches), plain.sample(3, 4))
            assert replay.state() == plain.state()


def test_a_damaged_episode_leaves_no_trace_in_the_sampler(tmp_path):
    for name in "ab":
        for episode in range(3):
            add_rows(open_replay(tmp_path / name), episode, 9)
    file = episodes.episode_files(tmp_path / "a")[1]
    file.write_bytes(file.read_bytes().replace(b"PK\x05\x06", bytes(4)))
    episodes.episode_files(tmp_path / "b")[1].unlink()
    damaged, without = (open_replay(tmp_path / name, sampler=make_sampler()) for name in "ab")
    assert (damaged.episodes, without.episodes) == (3, 2)
    for _ in range(4):
        assert_same_batch(damaged.sample(30, 5), without.sample(30, 5))
    assert damaged.episodes == 2
