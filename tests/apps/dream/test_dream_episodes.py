"""Recorded episodes are found and read, and the folder stays as it is."""

import pytest

from dreamer_tf.apps.dream.episodes import Episodes
from dreamer_tf.apps.dream.errors import DreamError, RequestError
from dreamer_tf.replay.episode_file import write_episode
from dreamer_tf.replay.store import EpisodeName
from dreamer_tf.specs import Space
from tests.apps.dream.small_runs import SPACES, episode

OBS_SPACE, ACT_SPACE, _ = SPACES["dreamerv2"]


@pytest.fixture
def run(tmp_path):
    """A folder with two episodes."""
    (tmp_path / "replay").mkdir()
    for serial, length in enumerate((9, 12), 1):
        name = str(EpisodeName(serial, length, 100 * serial))
        rows = episode(OBS_SPACE, ACT_SPACE, length, serial)
        write_episode(tmp_path / "replay" / name, {key: [rows[key]] for key in rows})
    return tmp_path


def files(run):
    return sorted(path.name for path in (run / "replay").iterdir())


def damage(run, serial):
    path = next((run / "replay").glob(f"{serial:09d}-*.npz"))
    path.write_bytes(path.read_bytes()[:200])


def test_episodes_are_listed_and_opened(run):
    episodes = Episodes(run, OBS_SPACE, ACT_SPACE)
    assert [(name.serial, name.rows) for name in episodes.names()] == [(1, 9), (2, 12)]
    assert episodes.open(2)["reward"][:].tolist() == list(range(12))
    assert episodes.newest_whole() == (2, [])


def test_a_trainers_folder_is_only_read(run):
    unfinished = run / "replay" / f"{EpisodeName(3, 9, 300)}.tmp"
    unfinished.write_bytes(b"half")
    lone = run / "replay" / EpisodeName(4, 9, 400).carry
    lone.write_bytes(b"context")
    damage(run, 2)
    before = files(run)
    episodes = Episodes(run, OBS_SPACE, ACT_SPACE)
    serial, [problem] = episodes.newest_whole()
    assert serial == 1 and "000000002-00012" in problem and "damaged" in problem
    assert files(run) == before


def test_a_missing_episode_is_named_with_its_neighbours(run):
    with pytest.raises(RequestError, match="no episode 7; expected .* such as 2, 1") as refused:
        Episodes(run, OBS_SPACE, ACT_SPACE).open(7)
    assert refused.value.status == 404


def test_episodes_of_another_task_are_refused(run):
    episodes = Episodes(run, {"arm": Space("float32", (5,))}, ACT_SPACE)
    with pytest.raises(RequestError, match=r"'arm' holds float32 \(3,\), expected .* \(5,\)"):
        episodes.open(1)


def test_without_a_whole_episode_there_is_no_dream(run):
    damage(run, 1)
    damage(run, 2)
    with pytest.raises(DreamError, match="none of the 2 episodes can be read"):
        Episodes(run, OBS_SPACE, ACT_SPACE).newest_whole()
    for path in (run / "replay").iterdir():
        path.unlink()
    with pytest.raises(DreamError, match="there is no episode in .*replay"):
        Episodes(run, OBS_SPACE, ACT_SPACE)
    (run / "replay").rmdir()
    with pytest.raises(DreamError, match="there is no episode in .*replay"):
        Episodes(run, OBS_SPACE, ACT_SPACE)
