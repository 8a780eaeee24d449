"""Run folders with everything that a report shows."""

import json

import numpy as np

from dreamer_tf import config as configs
from dreamer_tf.runs.run_folder import write_json
from dreamer_tf.runs.videos import save_video
from tests.apps.figures.runs import prediction


def example_run(path, *, reached=1000, films=(), starts=1, acted=True, **overrides):
    """Makes the folder of a run that was asked for 1000 frames.

    Args:
      path: The folder.
      reached: Frames that it has collected.
      films: Frames at which it saved its two videos.
      starts: Entries of ``info.json``.
      acted: Whether it acted; else it learned from recorded episodes, and its frames are updates.
      **overrides: Options, by dotted key with ``__`` for the dot.
    """
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    config = configs.load(["dmc", "cpu"], {"steps": 1000, "seed": 0, **keys}).config
    configs.save(config, path)
    steps = range(50, reached + 1, 50)
    lines = [line for step in steps for line in _lines(step, config.seed, acted)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    start = {
        "time": "2026-01-02T03:04:05+00:00",
        "command": "train.py --configs dmc cpu",
        "python": "3.11.9",
        "packages": {"tensorflow": "2.21.0", "gym": None},
        "machine": {"cpu": "A <fast> processor", "cores": 4, "memory_bytes": 2**33, "gpus": []},
    }
    write_json(path / "info.json", [{**start, "env_frames": 400 * i} for i in range(starts)])
    for frames in films:
        episode = np.random.default_rng(frames).integers(0, 255, (30, 32, 32, 3), np.uint8)
        save_video(path / "videos" / f"{frames:09d}-eval.mp4", episode)
        name = f"{frames:09d}-openloop-image.gif"
        save_video(path / "videos" / name, prediction(frames // 50), fps=10)
    return path


def _lines(step, seed, acted):
    """What a run logs at a frame: two episodes that end together, an evaluation, an interval."""
    noise = np.random.default_rng([step, seed])
    for _ in range(2 if acted else 0):
        yield {"step": step, "train/return": noise.normal(step), "train/length": 50}
    if step % 100 == 0:
        yield {"step": step, "eval/return": noise.normal(step + 20), "eval/return_std": 30.5}
        shares = {"time/acting": 0.25, "time/updating": 0.75}
        losses = {"image_loss": 1e6 / step**2, "model_grad_norm": 100 / step, "kl": noise.normal(7)}
        counts = {"grad_steps": step // 2} if acted else {"grad_steps": step, "agent_steps": 0}
        counts |= {"memory/rss": 2**30, "openloop_image_mse": 1 / step}
        yield {"step": step, "speed/frames": 50.0, **losses, **shares, **counts}
