import errno
import logging
import os
import random
import shutil
import signal
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from dreamer_tf.replay import Replay, WrongSpacesError, episode_file
from dreamer_tf.specs import Space
from tests.limits import files_of_at_most
from tests.replay import episodes
from tests.replay.episodes import (
    add_episode,
    assert_equal,
    assert_same_batch,
    check_sequences,
    make_row,
)

SPACES = episodes.make_spaces()
ROWS = 6


def open_replay(directory):
    return Replay(directory, SPACES, capacity=0, seed=3)


@pytest.fixture
def directory(tmp_path):
    replay = open_replay(tmp_path / "replay")
    for episode in range(5):
        add_episode(replay, episode, ROWS)
    return tmp_path / "replay"


def truncate(path, share):
    os.truncate(path, int(path.stat().st_size * share))


def overwrite(path, word, offset, data):
    """Overwrites bytes at an offset from the last place where a word stands."""
    content = bytearray(path.read_bytes())
    start = content.rindex(word) + offset
    content[start : start + len(data)] = data
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: truncate(path, 0),
    "half": lambda path: truncate(path, 0.5),
    "end missing": lambda path: truncate(path, 0.99),
    "end overwritten": lambda path: overwrite(path, b"PK\x05\x06", 0, b"\0" * 22),
    "directory overwritten": lambda path: overwrite(path, b"PK\x01\x02", 0, b"\0" * 40),
    "array header overwritten": lambda path: overwrite(path, b"'descr': '|u1'", 0, b"\0" * 20),
    "numbers overwritten": lambda path: overwrite(path, b"PK\x03\x04", -3, b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("position", [1, 4])
def test_a_damaged_file_is_set_aside_and_the_run_goes_on(directory, caplog, damage, position):
    path = episodes.episode_files(directory)[position]
    intact = directory.with_name("intact")
    shutil.copytree(directory, intact)
    (intact / path.name).unlink()
    DAMAGES[damage](path)

    replay, reference = open_replay(directory), open_replay(intact)
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            batch = replay.sample(4, 8)
            check_sequences(batch.rows, dict.fromkeys(range(5), ROWS))
            assert_same_batch(batch, reference.sample(4, 8))
    assert (replay.episodes, replay.rows) == (4, 4 * ROWS)
    assert replay.state() == reference.state()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert path.name in caplog.text
    assert not path.exists()
    assert path.with_name(path.name + ".damaged").exists()


def test_truncated_files_are_found_before_anything_is_sampled(tmp_path):
    replay = open_replay(tmp_path)
    for episode in range(5):
        add_episode(replay, episode, 100)
    for path in episodes.episode_files(tmp_path)[:3]:
        truncate(path, 0.7)
    assert open_replay(tmp_path).episodes == 2
    assert len(list(tmp_path.glob("*.damaged"))) == 3


def test_serials_and_steps_are_not_reused_after_the_newest_was_damaged(directory):
    steps = open_replay(directory).agent_steps
    truncate(episodes.episode_files(directory)[-1], 0.5)
    for _ in range(2):  # The start that sets it aside, and one that finds it there.
        replay = open_replay(directory)
        assert (replay.episodes, replay.agent_steps) == (4, steps)
    add_episode(replay, 5, ROWS)
    assert episodes.episode_files(directory)[-1].name.startswith("000000006-")
    assert replay.agent_steps == steps + ROWS - 1
    assert open_replay(directory).agent_steps == steps + ROWS - 1


def test_nothing_left_after_damage_is_an_error(tmp_path):
    add_episode(open_replay(tmp_path), 0, ROWS)
    overwrite(episodes.episode_files(tmp_path)[0], b"PK\x05\x06", 0, b"\0" * 22)
    with pytest.raises(RuntimeError, match="no finished episode"):
        open_replay(tmp_path).sample(1, 1)


def test_a_file_that_somebody_deleted_is_no_reason_to_stop(directory, caplog):
    replay = open_replay(directory)
    episodes.episode_files(directory)[0].unlink()
    for _ in range(10):
        assert 0 not in replay.sample(4, 8).rows["place"][:, :, 0]
    assert replay.episodes == 4
    assert "removed by somebody else" in caplog.text


def test_a_name_that_lies_about_the_rows_is_damage(directory, caplog):
    path = episodes.episode_files(directory)[-1]
    path.rename(path.with_name("000000009-00002-000000000100.npz"))
    assert open_replay(directory).episodes == 4
    assert f"has {ROWS} rows, the name says 2" in caplog.text


def test_two_episodes_of_one_number_are_refused_and_left_as_they_are(directory, tmp_path):
    other = open_replay(tmp_path / "other")
    add_episode(other, 5, ROWS)
    add_episode(other, 6, 20)
    newer = episodes.episode_files(tmp_path / "other")[1]
    shutil.copy(newer, directory)
    (directory / "000000009-00006-000000000040.npz.tmp").touch()
    before = sorted(path.name for path in directory.iterdir())
    mine = episodes.episode_files(directory)[1]
    with pytest.raises(WrongSpacesError, match=f"two runs.*{mine.name} and {newer.name}"):
        open_replay(directory)
    assert sorted(path.name for path in directory.iterdir()) == before


@pytest.mark.parametrize(("start", "rows"), [(0, ROWS + 1), (ROWS - 1, 2), (ROWS, 1)])
def test_rows_beyond_the_end_are_not_read_from_what_follows(directory, start, rows):
    path = episodes.episode_files(directory)[0]
    stored = episode_file.open_episode(path, SPACES, ROWS)["place"]
    with pytest.raises(episode_file.DamagedEpisodeError, match=f"{ROWS} rows.* {start + rows}"):
        stored.read(start, np.empty((rows, 2), np.int32))


@hypothesis.given(
    position=strategies.floats(0, 1, exclude_max=True),
    data=strategies.binary(min_size=1, max_size=40),
    cut=strategies.booleans(),
)
@hypothesis.settings(max_examples=300, deadline=None)
def test_no_damage_gives_wrong_numbers_or_another_error(whole_episode, position, data, cut):
    path, content, expected = whole_episode
    damaged = bytearray(content)
    start = int(position * len(content))
    if cut:
        del damaged[start:]
    else:
        damaged[start : start + len(data)] = data
    path.write_bytes(damaged)
    try:
        arrays = episode_file.open_episode(path, SPACES, ROWS)
    except episode_file.DamagedEpisodeError:
        return
    assert not cut
    del arrays["image"]
    assert_equal(arrays, {key: expected[key] for key in arrays})


@pytest.fixture(scope="module")
def whole_episode(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    add_episode(open_replay(directory), 0, ROWS)
    (path,) = episodes.episode_files(directory)
    with np.load(path) as episode:
        return directory / "damaged.npz", path.read_bytes(), dict(episode)


def other_spaces():
    without = {key: space for key, space in SPACES.items() if key != "place"}
    return {
        r"'image' holds uint8 \(4, 4, 3\), expected uint8 \(8, 8, 3\)": episodes.make_spaces(8),
        r"'place' holds int32 \(2,\), expected float32": {
            **SPACES,
            "place": Space(np.float32, (2,)),
        },
        "missing none, not expected 'place'": without,
        "missing 'depth', not expected none": {**SPACES, "depth": Space(np.float32)},
    }


@pytest.mark.parametrize("words", other_spaces())
def test_a_folder_of_another_task_is_refused_and_left_as_it_is(directory, words):
    before = sorted(path.name for path in directory.iterdir())
    with pytest.raises(WrongSpacesError, match=words):
        Replay(directory, other_spaces()[words], capacity=0, seed=0)
    assert sorted(path.name for path in directory.iterdir()) == before


def test_a_compressed_copy_is_not_read_as_raw_bytes(directory, caplog):
    path = episodes.episode_files(directory)[-1]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert open_replay(directory).episodes == 4
    assert "compressed" in caplog.text


def test_a_full_disk_loses_nothing(directory):
    replay = open_replay(directory)
    name = "000000006-00006-000000000030.npz"
    # The device answers every write as a full disk does.
    (directory / (name + ".tmp")).symlink_to("/dev/full")
    with pytest.raises(OSError, match="6 rows needs .* bytes in the replay folder") as raised:
        add_episode(replay, 5, ROWS)
    assert raised.value.errno == errno.ENOSPC
    assert str(directory) in str(raised.value)
    assert (replay.episodes, replay.agent_steps) == (5, 25)
    assert len(list(directory.iterdir())) == 5

    replay.flush()
    assert (replay.episodes, replay.agent_steps) == (6, 30)
    assert (directory / name).exists()
    assert_same_batch(open_replay(directory).sample(9, 4), replay.sample(9, 4))


def test_a_write_that_fails_halfway_leaves_no_file(directory):
    replay = open_replay(directory)
    size = episodes.episode_files(directory)[0].stat().st_size
    with files_of_at_most(size // 2):
        with pytest.raises(OSError, match="kept in memory"):
            add_episode(replay, 5, ROWS)
        with pytest.raises(OSError, match="kept in memory"):
            add_episode(replay, 6, ROWS)
    assert len(list(directory.iterdir())) == 5
    add_episode(replay, 7, ROWS)
    assert (replay.episodes, replay.agent_steps) == (8, 40)
    seen = {int(n) for _ in range(10) for n in replay.sample(8, ROWS).rows["place"][:, 0, 0]}
    assert {5, 6, 7} <= seen


WRITER = """
import sys
from tests.replay import episodes
from dreamer_tf.replay import Replay
replay = Replay(sys.argv[1], episodes.make_spaces(32), capacity=0, seed=0)
print(replay.episodes, replay.agent_steps, flush=True)
while True:
    episodes.add_episode(replay, replay.episodes, 300, image_size=32)
    print(replay.episodes, replay.agent_steps, flush=True)
"""


def test_killed_writers_leave_whole_episodes_only(tmp_path):
    delays = random.Random(5)
    folder, spaces = tmp_path / "replay", episodes.make_spaces(32)
    script = tmp_path / "writer.py"
    script.write_text(f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n{WRITER}")
    stored, steps = 0, 0
    for _ in range(10):
        with episodes.start_python(script, folder) as process:
            found = process.stdout.readline().split()
            assert list(map(int, found)) == [stored, steps]
            try:
                process.wait(delays.uniform(0.0, 0.1))
            except episodes.subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            reported = [tuple(map(int, line.split())) for line in process.stdout]
            assert process.wait() == -signal.SIGKILL
        replay = Replay(folder, spaces, capacity=0, seed=0)
        promised = reported[-1] if reported else (stored, steps)
        assert (replay.episodes, replay.agent_steps) >= promised
        stored, steps = replay.episodes, replay.agent_steps
        assert steps == 299 * stored
        assert not list(folder.glob("*.tmp")) and not list(folder.glob("*.damaged"))
    assert stored >= 10
    for number, path in enumerate(episodes.episode_files(folder)):
        with np.load(path) as episode:  # Reads every array, checksums included.
            assert_equal({k: episode[k][-1] for k in spaces}, make_row(number, 299, 300, 32))
