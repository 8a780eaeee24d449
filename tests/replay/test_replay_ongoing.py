"""Episodes that are still being played: what is stored of them, and how a run takes them up."""

import errno
import resource

import numpy as np
import pytest

from dreamer_tf.replay import Consecutive, FreshFirst, Replay, UniformWindows, ongoing
from dreamer_tf.specs import Space
from tests.replay.episodes import (
    add_episode,
    assert_equal,
    assert_same_batch,
    check_sequences,
    episode_files,
    make_row,
    make_spaces,
)

LONG = 10**6  # Rows of an episode that does not end.
CARRY = {"memory": Space(np.float32, (2,))}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(ongoing, "PIECE_ROWS", 8)


def open_replay(folder, **options):
    return Replay(folder, make_spaces(), capacity=0, seed=0, ongoing=True, **options)


def play(replay, episode, rows, stop=LONG, start=0, stream=0):
    """Adds rows of an episode that has ``stop``; carried is the number of the row."""
    for row in range(start, rows):
        carry = {"memory": np.full(2, row, np.float32)} if replay.carry_space else {}
        replay.add(make_row(episode, row, stop) | carry, stream)


def pieces(folder):
    return sorted(path.name for path in folder.glob("ongoing/*.npz"))


def contents(path):
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize("carry", [{}, CARRY])
@pytest.mark.parametrize(("saved", "later"), [(1, 1), (5, 5), (8, 9), (9, 30), (16, 17), (21, 40)])
def test_an_episode_taken_up_goes_on_as_if_nothing_had_been(tmp_path, saved, later, carry):
    whole, parts = (
        open_replay(tmp_path / "a", carry=carry),
        open_replay(tmp_path / "b", carry=carry),
    )
    play(whole, 0, 45, stop=45)
    play(parts, 0, saved)
    parts.store_ongoing()
    before = parts.ongoing()
    assert before == {0: (1, saved)}
    play(parts, 0, later, start=saved)  # And then the process is killed.
    continued = open_replay(tmp_path / "b", carry=carry)
    episode = continued.resume(0, *before[0])
    assert len(episode) == saved and continued.ongoing() == before
    assert bool(list((tmp_path / "b").rglob("*.context.npy"))) == bool(carry)
    play(continued, 0, 45, stop=45, start=saved)
    [a], [b] = episode_files(tmp_path / "a"), episode_files(tmp_path / "b")
    assert a.name == b.name and a.read_bytes() == b.read_bytes()
    assert not list((tmp_path / "b" / "ongoing").iterdir())
    if carry:
        [a], [b] = tmp_path.glob("a/*.context.npy"), tmp_path.glob("b/*.context.npy")
        assert a.read_bytes() == b.read_bytes()


def test_what_nobody_goes_on_with_is_cut_and_counted(tmp_path):
    replay = open_replay(tmp_path)
    add_episode(replay, 0, 5)
    play(replay, 1, 20, stream=0)
    play(replay, 2, 6, stream=1)
    play(replay, 3, 1, stream=2)
    replay.store_ongoing()
    continued = open_replay(tmp_path)
    assert (continued.episodes, continued.agent_steps) == (1, 4)
    assert continued.cut_left() == 2
    assert (continued.episodes, continued.stored, continued.agent_steps) == (3, 3, 4 + 19 + 5)
    assert not list((tmp_path / "ongoing").iterdir())
    rows = contents(episode_files(tmp_path)[1])
    assert rows["is_last"].tolist() == [False] * 19 + [True] and not rows["is_terminal"].any()
    expected = [make_row(1, row, LONG) for row in range(20)]
    for key in rows.keys() - {"is_last"}:
        np.testing.assert_array_equal(rows[key], [row[key] for row in expected])
    # Another episode does not get a number that is in use.
    play(continued, 4, 2)
    assert continued.ongoing()[0][0] > 3


def test_an_episode_stored_just_before_a_kill_is_not_stored_twice(tmp_path, monkeypatch):
    replay = open_replay(tmp_path)
    play(replay, 0, 12)
    replay.store_ongoing()
    monkeypatch.setattr(ongoing.OpenEpisode, "remove", lambda self: None)
    play(replay, 0, 15, stop=15, start=12)
    monkeypatch.undo()
    monkeypatch.setattr(ongoing, "PIECE_ROWS", 8)
    assert pieces(tmp_path)
    continued = open_replay(tmp_path)
    assert continued.cut_left() == 0
    assert continued.agent_steps == 14 and not pieces(tmp_path)


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_episode_whose_pieces_stay_for_a_moment_is_stored_once(tmp_path, monkeypatch, goes_on):
    replay = open_replay(tmp_path, sampler=FreshFirst(UniformWindows(), 0.5))
    add_episode(replay, 9, 9, stream=1)
    play(replay, 0, 20)
    replay.store_ongoing()
    replay.sample(2, 4)

    def remove(self, name):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(ongoing.PieceFolder, "remove", remove)
    with pytest.raises(OSError, match="Input/output"):
        play(replay, 0, 22, stop=22, start=20)
    with pytest.raises(OSError, match="Input/output"):
        add_episode(replay, 1, 6, stream=1)  # It waits, so that the last one stored has the pieces.
    assert replay.episodes == 2 and pieces(tmp_path)
    assert [number for number, _ in replay.state()["fresh"]["waiting"]] == [1, 2]
    monkeypatch.undo()
    monkeypatch.setattr(ongoing, "PIECE_ROWS", 8)
    if goes_on:  # Else the process ends here.
        replay.flush()
        assert replay.episodes == 3 and not pieces(tmp_path)
    continued = open_replay(tmp_path)
    assert continued.cut_left() == 0
    assert continued.agent_steps == 8 + 21 + 5 * goes_on and not pieces(tmp_path)


def test_a_piece_written_for_a_checkpoint_goes_although_the_one_before_it_stayed(
    tmp_path, monkeypatch
):
    replay, remove, refused = open_replay(tmp_path), ongoing.PieceFolder.remove, []
    play(replay, 0, 3)
    replay.store_ongoing()
    play(replay, 0, 5, start=3)

    def refusing(self, name):
        refused.append(name)
        if len(refused) == 1:
            raise OSError(errno.EIO, "Input/output error")
        remove(self, name)

    monkeypatch.setattr(ongoing.PieceFolder, "remove", refusing)
    with pytest.raises(OSError, match="Input/output"):
        replay.store_ongoing()
    assert len(pieces(tmp_path)) == 2
    play(replay, 0, 7, start=5, stop=7)
    assert replay.episodes == 1 and not pieces(tmp_path)


def test_what_is_being_played_is_counted(tmp_path):
    replay = open_replay(tmp_path, carry=CARRY)
    assert replay.ongoing_size() == {"replay/ongoing_rows": 0, "replay/ongoing_bytes": 0}
    play(replay, 0, 5, stop=5)
    play(replay, 1, 20)
    play(replay, 2, 3, stream=1)
    row = sum(array.nbytes for array in make_row(0, 0, 9).values()) + 2 * 4
    expected = {"replay/ongoing_rows": 23, "replay/ongoing_bytes": 23 * row}
    assert replay.ongoing_size() == expected
    assert (replay.episodes, replay.rows) == (1, 5)
    stored = sum(path.stat().st_size for path in (tmp_path / "ongoing").iterdir())
    assert stored > 16 * row  # Two pieces of it are on the disk.


def test_no_more_rows_are_in_memory_than_those_of_a_piece_and_one(tmp_path, monkeypatch):
    monkeypatch.setattr(ongoing, "_FIRST_ROWS", 2)
    replay = open_replay(tmp_path)
    play(replay, 0, 30)
    [episode] = replay._streams.values()
    assert {len(array) for array in episode._arrays.values()} == {8 + 1}
    assert replay.sample(4, 20).rows["place"].shape == (4, 20, 2)


def test_memory_is_bounded_and_every_row_can_be_drawn(tmp_path):
    replay = open_replay(tmp_path, carry=CARRY)
    play(replay, 0, 100)
    [episode] = replay._streams.values()
    assert max(len(array) for array in episode._arrays.values()) == ongoing._FIRST_ROWS
    assert episode._rows <= 8 and len(pieces(tmp_path)) == 12
    seen = set()
    for _ in range(90):
        batch = replay.sample(8, 20)
        check_sequences(batch.rows, {0: LONG})
        starts = batch.rows["place"][:, 0, 1]
        seen |= set(starts.tolist())
        np.testing.assert_array_equal(replay.carry(batch)["memory"][:, 0], starts)
    assert len(seen) == 81
    # What training makes of the carry goes to the pieces, too.
    batch = replay.sample(1, 20)
    start = batch.rows["place"][0, 0, 1]
    replay.update(batch, {"memory": np.full((1, 20, 2), -1, np.float32)})
    [*records] = episode.carry()
    carried = np.concatenate(records)["memory"][:, 0]
    end = min(start + 21, 100)
    assert (carried[start + 1 : end] == -1).all()
    assert carried[: start + 1].tolist() == list(range(start + 1))
    assert carried[end:].tolist() == list(range(end, 100))


def test_only_the_last_piece_is_written_again(tmp_path):
    replay = open_replay(tmp_path)
    play(replay, 0, 20)
    replay.store_ongoing()
    first = {name: (tmp_path / "ongoing" / name).stat().st_mtime_ns for name in pieces(tmp_path)}
    play(replay, 0, 22, start=20)
    replay.store_ongoing()
    names = pieces(tmp_path)
    assert len(names) == 3 and len(first.keys() & names) == 2
    replay.store_ongoing()
    assert pieces(tmp_path) == names
    replay.cut()
    assert not pieces(tmp_path) and len(contents(episode_files(tmp_path)[0])["reward"]) == 22


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize(("piece", "left"), [(0, 0), (1, 8), (2, 16)])
def test_of_an_episode_with_a_damaged_piece_the_rows_before_are_left(tmp_path, damage, piece, left):
    replay = open_replay(tmp_path)
    play(replay, 0, 20)
    replay.store_ongoing()
    damage(tmp_path / "ongoing" / pieces(tmp_path)[piece])
    continued = open_replay(tmp_path)
    assert continued.resume(0, 1, 20) is None and continued.ongoing() == {}
    assert continued.cut_left() == bool(left)
    assert continued.rows == left and not pieces(tmp_path)


def test_a_piece_cut_short_while_it_is_played_ends_that_episode_alone(tmp_path, caplog):
    replay = open_replay(tmp_path)
    play(replay, 0, 20)
    add_episode(replay, 1, 9, stream=1)
    piece = tmp_path / "ongoing" / pieces(tmp_path)[1]
    replay.sample(30, 5)  # All are open.
    with piece.open("r+b") as file:
        file.truncate(300)
    lengths = {0: LONG, 1: 9}  # The shortened one ends nowhere else than its rows say.
    while replay.episodes == 1:
        check_sequences(replay.sample(8, 5).rows, lengths)
    assert "8 of 20 rows are left" in caplog.text
    play(replay, 0, 30, stop=30, start=20)  # The rest of it is passed over.
    assert (replay.episodes, replay.rows) == (2, 17)
    play(replay, 2, 4, stop=4)
    assert replay.episodes == 3


def test_an_episode_cut_short_while_it_is_open_is_set_aside(tmp_path, caplog):
    """Mapped, this file would end the process by SIGBUS."""
    replay = Replay(tmp_path, make_spaces(64), capacity=0, seed=0)
    add_episode(replay, 0, 20, image_size=64)
    add_episode(replay, 1, 20, image_size=64)
    replay.sample(20, 5)
    with episode_files(tmp_path)[0].open("r+b") as file:
        file.truncate(5000)
    for _ in range(5):
        assert set(replay.sample(20, 5).rows["place"][..., 0].ravel().tolist()) == {1}
    assert "set aside" in caplog.text and replay.episodes == 1


def test_a_full_disk_loses_no_row(tmp_path):
    replay, whole = open_replay(tmp_path / "a"), open_replay(tmp_path / "b")
    play(replay, 0, 8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        for row in (8, 9):
            with pytest.raises(OSError):
                play(replay, 0, row + 1, start=row)
        with pytest.raises(OSError):
            replay.store_ongoing()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    play(replay, 0, 30, stop=30, start=10)
    play(whole, 0, 30, stop=30)
    assert_equal(*(contents(*episode_files(tmp_path / name)) for name in "ab"))


def test_unfinished_files_are_removed_and_another_tasks_pieces_refused(tmp_path):
    replay = open_replay(tmp_path, carry=CARRY)
    play(replay, 0, 10)
    replay.store_ongoing()
    (tmp_path / "ongoing" / "000000001-000000008-00003.npz.tmp").touch()
    (tmp_path / "ongoing" / "000000007-000000008-00003.context.npy").touch()
    open_replay(tmp_path, carry=CARRY)
    assert len(list((tmp_path / "ongoing").iterdir())) == 4
    with pytest.raises(ValueError, match="another task"):
        Replay(tmp_path, make_spaces(8), capacity=0, seed=0)


# ---- An episode that ends while batches are in use that were drawn before.


def test_what_is_carried_is_found_after_the_end_of_the_episode(tmp_path):
    replay = open_replay(tmp_path, carry=CARRY)
    play(replay, 0, 20)
    batch = replay.sample(4, 3)
    play(replay, 0, 24, start=20, stop=24)
    assert len(episode_files(tmp_path)) == 1 and not replay.ongoing()
    starts = [sequence.pieces[0].start for sequence in batch.sequences]
    np.testing.assert_array_equal(replay.carry(batch)["memory"][:, 0], starts)
    replay.update(batch, {"memory": np.full((4, 3, 2), -1, np.float32)})
    [path] = tmp_path.glob("*.context.npy")
    changed = np.flatnonzero(np.load(path)["memory"][:, 0] == -1)
    assert set(changed) == {start + row for start in starts for row in (1, 2, 3)}


@pytest.mark.parametrize(
    "make_sampler",
    [lambda: FreshFirst(UniformWindows(), 0.5), lambda: Consecutive(UniformWindows(), 3)],
)
def test_batches_that_are_given_back_do_not_make_it_forget_that_an_episode_ended(
    tmp_path, make_sampler
):
    """As a block of a thread ends that drew ahead, while another thread added rows."""
    ahead, plain = (
        open_replay(tmp_path / name, sampler=make_sampler()) for name in ("ahead", "plain")
    )
    for replay in (ahead, plain):
        play(replay, 0, 30)
        replay.sample(2, 4)
    state = ahead.state()
    ahead.sample(2, 4)
    for replay in (ahead, plain):
        play(replay, 0, 34, start=30, stop=34)
        play(replay, 1, 9)
    ahead.sample(2, 4)
    ahead.restore(state)
    assert ahead.state() == plain.state()
    for _ in range(12):
        assert_same_batch(ahead.sample(2, 4), plain.sample(2, 4))


def test_what_a_folder_held_is_not_fresh_where_nothing_is_restored(tmp_path):
    play(open_replay(tmp_path), 0, 9, stop=9)
    replay = open_replay(tmp_path, sampler=FreshFirst(UniformWindows(), 1.0))
    replay.restore(replay.state())
    replay.sample(1, 4)
    assert replay.state()["fresh"] == {"newest": 1, "waiting": []}
    play(replay, 1, 9, stop=9)
    drawn = replay.sample(3, 4).sequences
    assert [sequence.pieces[0][:2] for sequence in drawn] == [(2, 0), (2, 4), (2, 5)]


def test_an_end_that_is_known_already_is_not_told_anew(tmp_path):
    replay = open_replay(tmp_path, sampler=FreshFirst(UniformWindows(), 0.5))
    play(replay, 0, 30)
    replay.sample(2, 4)
    play(replay, 0, 34, start=30, stop=34)
    replay.sample(2, 4)
    state = replay.state()
    assert state["fresh"]["waiting"] == [(1, 8)]
    replay.restore(state)
    assert replay.state() == state
