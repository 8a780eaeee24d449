"""Small episodes whose rows say where they come from, for the replay tests."""

import os
import pathlib
import subprocess
import sys

import numpy as np

from dreamer_tf.specs import Space, row_spaces

ROOT = pathlib.Path(__file__).parents[2]


def make_spaces(image_size=4):
    return row_spaces(
        {
            "image": Space(np.uint8, (image_size, image_size, 3)),
            "place": Space(np.int32, (2,)),
            "sensors/speed": Space(np.float32, (3,)),
        },
        {"action": Space(np.float32, (2,), -1, 1)},
    )


def make_row(episode, row, rows, image_size=4):
    """Row of an episode; ``place`` is (episode, row) and every other key follows from it."""
    start = row == 0
    return {
        "image": np.full((image_size, image_size, 3), (7 * episode + row) % 256, np.uint8),
        "place": np.array([episode, row], np.int32),
        "sensors/speed": np.full(3, episode + row / 1000, np.float32),
        "action": np.full(2, 0 if start else (row % 9) / 9, np.float32),
        "reward": np.float32(0 if start else row),
        "is_first": np.bool_(start),
        "is_last": np.bool_(row == rows - 1),
        "is_terminal": np.bool_(row == rows - 1 and episode % 2 == 0),
    }


def add_episode(replay, episode, rows, stream=0, image_size=4):
    for row in range(rows):
        replay.add(make_row(episode, row, rows, image_size), stream)


def check_sequences(batch, lengths):
    """Asserts that sequences are consecutive rows, or begin another episode where one ended.

    Args:
      batch: Rows of what `sample` returned.
      lengths: Dict of episode number to its rows.
    """
    for sequence in range(len(batch["reward"])):
        places = [tuple(place) for place in batch["place"][sequence].tolist()]
        for t, (episode, row) in enumerate(places):
            expected = make_row(episode, row, lengths[episode])
            for key, value in expected.items():
                np.testing.assert_array_equal(batch[key][sequence, t], value)
            if t and row:
                assert places[t - 1] == (episode, row - 1)
            elif t:
                assert batch["is_last"][sequence, t - 1] and batch["is_first"][sequence, t]


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def assert_same_batch(first, second):
    """Asserts that two batches hold the same rows from the same places."""
    assert first.sequences == second.sequences
    assert_equal(first.rows, second.rows)


def episode_files(directory):
    return sorted(path for path in pathlib.Path(directory).iterdir() if path.suffix == ".npz")


def start_python(*arguments, **options):
    """Starts a Python process that can import the package."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": search}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)
