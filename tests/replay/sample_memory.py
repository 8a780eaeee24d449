"""Samples a large replay and prints, as JSON, the anonymous memory of the process.

Usage: sample_memory.py FOLDER BYTES BATCHES. Anonymous memory is what the system cannot take
back; pages of mapped files are not part of it.
"""

import json
import re
import sys

import numpy as np

from dreamer_tf.replay import Replay
from dreamer_tf.specs import Space, row_spaces

EPISODE_ROWS = 501
SIZE = (64, 64, 3)


def fill(replay, size):
    image = np.random.default_rng(0).integers(256, size=SIZE, dtype=np.uint8)
    while replay.nbytes < size:
        for row in range(EPISODE_ROWS):
            image[0, 0] += 1
            replay.add(
                {
                    "image": image,
                    "action": np.zeros(6, np.float32),
                    "reward": np.float32(0),
                    "is_first": row == 0,
                    "is_last": row == EPISODE_ROWS - 1,
                    "is_terminal": False,
                },
                stream=0,
            )


def memory(kind):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(rf"{kind}:\s+(\d+) kB", file.read()).group(1))


def main(folder, size, batches):
    spaces = row_spaces({"image": Space(np.uint8, SIZE)}, {"action": Space(np.float32, (6,))})
    fill(Replay(folder, spaces, capacity=0, seed=0), size)
    replay = Replay(folder, spaces, capacity=0, seed=0)
    anonymous, mapped = [], []
    for _ in range(batches):
        batch = replay.sample(16, 32).rows
        assert batch["image"].shape == (16, 32, *SIZE)
        anonymous.append(memory("RssAnon"))
        mapped.append(memory("RssFile"))
    json.dump(
        {
            "nbytes": replay.nbytes,
            "episodes": replay.episodes,
            "anonymous": anonymous,
            "mapped": max(mapped),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
