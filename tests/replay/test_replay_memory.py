import json
import os
import pathlib

import pytest

from dreamer_tf.replay import Replay, episode_file
from dreamer_tf.replay.store import OpenFiles
from tests.replay import episodes
from tests.replay.episodes import add_episode

WARM_UP = 20
"""Batches until the allocator has settled."""


@pytest.mark.parametrize(
    ("size", "batches"),
    [
        pytest.param(300_000_000, 300),
        pytest.param(3_000_000_000, 2_000, marks=pytest.mark.slow),
    ],
)
def test_anonymous_memory_stays_flat(tmp_path, size, batches):
    script = pathlib.Path(__file__).with_name("sample_memory.py")
    with episodes.start_python(script, tmp_path, size, batches) as process:
        result = json.load(process.stdout)
    assert process.returncode == 0
    anonymous = result["anonymous"][WARM_UP:]
    print(
        f"{result['episodes']} episodes, {result['nbytes']:,} bytes, {batches} batches: RssAnon "
        f"{min(anonymous):,} to {max(anonymous):,} bytes, RssFile at most {result['mapped']:,}"
    )
    assert result["nbytes"] >= size
    assert max(anonymous) < 1.05 * anonymous[0]
    assert min(anonymous) > 0.95 * anonymous[0]
    assert max(anonymous) < size / 2


def open_files(directory):
    links = [
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{name}")
    ]
    return {link for link in links if link.startswith(str(directory))}


def test_evicted_episodes_are_not_open_any_longer(tmp_path):
    replay = Replay(tmp_path, episodes.make_spaces(), capacity=12, seed=0)
    for episode in range(5):
        add_episode(replay, episode, 4)
        replay.sample(30, 2)
    assert len(open_files(tmp_path)) == replay.episodes == 3


def test_only_the_last_used_episodes_are_open(tmp_path):
    spaces = episodes.make_spaces()
    replay = Replay(tmp_path, spaces, capacity=0, seed=0)
    for episode in range(6):
        add_episode(replay, episode, 5)
    paths = [str(path) for path in episodes.episode_files(tmp_path)]
    files = OpenFiles(lambda path: episode_file.open_episode(path, spaces, 5), limit=3)
    for episode in (0, 1, 2, 0, 3, 4):
        assert files[paths[episode]]["place"][0].tolist() == [episode, 0]
    assert open_files(tmp_path) == {paths[0], paths[3], paths[4]}
    files.discard(paths[3])
    assert open_files(tmp_path) == {paths[0], paths[4]}
    assert len(files) == 2
