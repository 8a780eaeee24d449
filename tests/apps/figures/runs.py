"""Run folders and score files as training and the authors write them."""

import gzip
import json

import numpy as np

from dreamer_tf import config as configs
from dreamer_tf.runs.run_folder import write_json


def entry(task="dmc_walker_walk", method="dreamer", seed=0, xs=(10, 20), ys=(1.0, 2.0)):
    """One curve of a score file."""
    return {"task": task, "method": method, "seed": seed, "xs": list(xs), "ys": list(ys)}


def score_file(path, content):
    """Writes a score file, gzipped if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as file:
        json.dump(content, file)
    return path


def run_folder(path, *, xs=(50, 100), ys=(1.0, 2.0), reached=100, metrics=(), **overrides):
    """Makes the folder of a run.

    Args:
      path: The folder.
      xs: Frames of its scores; empty: it has none yet.
      ys: Its scores.
      reached: Frames that it has collected.
      metrics: Further lines of its metrics.
      **overrides: Options, by dotted key with ``__`` for the dot.
    """
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    config = configs.load([], {"steps": 100, **keys}).config
    configs.save(config, path)
    if len(xs):
        scores = [entry(config.task, config.agent, config.seed, xs, ys)]
        write_json(path / "scores.json", scores)
    ends = [{"step": 0, "speed/frames": 1.0}, {"step": reached, "speed/frames": 2.0}]
    lines = [*ends[:1], *metrics, *ends[1:]]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def prediction(length=8, sequences=3, side=6):
    """An open-loop video, uint8 ``[T, 3 · side, sequences · side, 3]``, every picture another."""
    video = np.zeros((length, 3, side, sequences, side, 3), np.uint8)
    for index in np.ndindex(length, 3, sequences):
        time, row, sequence = index
        video[time, row, :, sequence] = (20 * time % 256, 80 * row, 80 * sequence)
    return video.reshape(length, 3 * side, sequences * side, 3)
