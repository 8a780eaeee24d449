"""How much of cartpole's motion different ways of exploring have seen.

python examples/cartpole_coverage.py Plan2Explore=runs/curious Random=runs/random --out coverage.png

Reads the episodes that runs on state vectors of a cartpole task collected. A state counts by the
angle of the pole and its speed, in 24 × 24 cells up to 15 rad/s, once however often it was seen.
"""

import argparse
import itertools
import pathlib

import matplotlib.pyplot as plt
import numpy as np
from ruamel.yaml import YAML

CELLS, FASTEST, UPRIGHT = 24, 15.0, 0.995
COLORS = ("#D55E00", "#222222", "#0072B2", "#009E73")


def read_states(run):
    """Angle (0 is upright), its speed and the reward of every row, oldest row first.

    Args:
      run: Run folder.

    Returns:
      ``[n]``, ``[n]`` and ``[n]``, and the env_frames of a row.
    """
    files = sorted((pathlib.Path(run) / "replay").glob("*.npz"))
    episodes = [np.load(file) for file in files]
    position, velocity, reward = (
        np.concatenate([episode[key] for episode in episodes])
        for key in ("position", "velocity", "reward")
    )
    options = YAML(typ="safe").load(pathlib.Path(run) / "config.yaml")
    # dm_control's cartpole: the cart's place, cosine and sine of the pole's angle; their speeds.
    angle = np.arctan2(position[:, 2], position[:, 1])
    return angle, velocity[:, 1], reward, options["env"]["action_repeat"]


def coverage(angle, speed):
    """Number of cells seen until each row, ``[n]``."""
    turn = np.floor((angle + np.pi) / (2 * np.pi) * CELLS).clip(0, CELLS - 1)
    fast = np.floor((speed / FASTEST + 1) / 2 * CELLS).clip(0, CELLS - 1)
    _, first = np.unique(turn * CELLS + fast, return_index=True)
    return np.cumsum(np.isin(np.arange(len(angle)), first))


def draw(runs, path):
    """The states that each run saw, and the cells over frames.

    Args:
      runs: Dict of name to what `read_states` returned.
      path: File to write.
    """
    figure, axes = plt.subplots(
        1, len(runs) + 1, figsize=(3 * len(runs) + 3, 3), layout="constrained"
    )
    looks = zip(axes, itertools.cycle(COLORS), strict=False)
    for (axis, color), (name, (angle, speed, _, repeat)) in zip(looks, runs.items(), strict=False):
        axis.plot(angle, speed, ".", color=color, markersize=1.5, alpha=0.5, rasterized=True)
        axis.set(title=name, xlim=(-np.pi, np.pi), ylim=(-FASTEST, FASTEST), xlabel="Pole's angle")
        axis.set_xticks([-np.pi, 0, np.pi], ["hanging", "upright", "hanging"])
        cells = coverage(angle, speed)
        axes[-1].plot(repeat * np.arange(len(cells)), cells, color=color, label=name)
    axes[0].set_ylabel("Its speed in rad/s")
    axes[-1].set(title="Coverage", xlabel="Environment frames", ylabel="Cells seen")
    axes[-1].legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(words=None):
    """Prints a line for each run and draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="run folders with their names")
    parser.add_argument("--out", default="coverage.png", help="the figure (%(default)s)")
    arguments = parser.parse_args(words)
    pairs = [word.rpartition("=") for word in arguments.runs]
    runs = {name or run: read_states(run) for name, _, run in pairs}
    frames = min(len(angle) * repeat for angle, _, _, repeat in runs.values())
    for name, (angle, speed, reward, repeat) in runs.items():
        rows = frames // repeat
        cells, upright = coverage(angle, speed)[rows - 1], np.cos(angle[:rows]) > UPRIGHT
        print(
            f"{name}: after {frames:,} frames {cells} of {CELLS**2} cells, upright in "
            f"{upright.mean():.2%} of the rows, reward {reward[:rows].sum():.0f}"
        )
    draw(runs, arguments.out)


if __name__ == "__main__":
    main()
