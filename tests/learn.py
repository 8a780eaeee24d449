"""The gate that keeps it true that agents learn: ``make learn``, or ``python -m tests.learn``.

Trains one tiny task for each generation of the paper, with three seeds each, and fails where the
mean return over the seeds is below the recorded one minus its spread, which is the distance from
the lowest recorded seed to the highest. What is trained, and what was recorded, stands in
``docs/results/gate.yaml``. It is no part of ``make test``: these are nine runs of minutes each.

``make agents`` trains one seed of each and publishes it, as `dreamer_tf.publish` does: a folder of
small trained agents that can go beside a release.

Exit codes: 0 passed, recorded or published; 1 a mean is too low; 2 nothing is recorded to judge by.
"""

import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import sys

from ruamel.yaml import YAML

from dreamer_tf import publish

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "results" / "gate.yaml"
SEEDS = (0, 1, 2)


class NothingRecorded(Exception):
    """Too few seeds of a task were recorded to tell a spread."""


def judge(recorded, returns):
    """Whether a mean return is as good as what was recorded.

    Args:
      recorded: Returns of the recorded seeds.
      returns: Returns of the seeds that were trained now.

    Returns:
      Whether it passes, and the lowest mean that would.

    Raises:
      NothingRecorded: If fewer than three seeds were recorded.
    """
    if len(recorded) < len(SEEDS):
        raise NothingRecorded(f"{len(recorded)} of at least {len(SEEDS)} seeds are recorded")
    lowest = statistics.fmean(recorded) - (max(recorded) - min(recorded))
    return statistics.fmean(returns) >= lowest, lowest


def train(command, seed, folder):
    """Trains a run in a process of its own and returns its last evaluation's mean return.

    Args:
      command: Words of the command line, as one text.
      seed: The seed.
      folder: Run folder.

    Raises:
      FileExistsError: If there is one already, whose return would be that of earlier code.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} is there: an earlier run would be judged; move it")
    words = [*shlex.split(command), "--seed", str(seed), "--logdir", str(folder)]
    subprocess.run([sys.executable, "-m", "dreamer_tf.apps.train", *words], check=True)
    [curve] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return curve["ys"][-1]


def main(argv=None):
    """Trains, prints a table, and exits with the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    yaml = YAML()
    yaml.width = 1000
    tasks = yaml.load(RECORD)
    parser.add_argument("--only", nargs="+", choices=list(tasks), default=list(tasks))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--record", action="store_true", help="write the returns to gate.yaml")
    parser.add_argument("--agents", type=pathlib.Path, help="publish the best seeds there")
    parser.add_argument("--logdir", type=pathlib.Path, default=ROOT / "build" / "learn")
    arguments = parser.parse_args(argv)
    lines, code = [], 0
    for name in arguments.only:
        task, returns = tasks[name], {}
        for seed in arguments.seeds:
            returns[seed] = train(task["command"], seed, arguments.logdir / name / f"seed{seed}")
            if arguments.record:
                task["returns"][seed] = round(returns[seed], 1)
                with RECORD.open("w", encoding="utf-8") as file:
                    yaml.dump(tasks, file)
        mean = statistics.fmean(returns.values())
        shown = ", ".join(f"{value:.0f}" for value in returns.values())
        line = f"{name}: {mean:.0f} ({shown}; random {task['random']})"
        try:
            passed, lowest = judge(list(task["returns"].values()), list(returns.values()))
            verdict = "passed" if passed else "TOO LOW"
            # What was just recorded cannot be judged by itself.
            line += (
                f", {'recorded' if arguments.record else verdict}: at least {lowest:.0f} is right"
            )
            code = max(code, 0 if passed else 1)
        except NothingRecorded as error:
            line += f", not judged: {error}"
            code = max(code, 0 if arguments.record or arguments.agents else 2)
        lines.append(line)
        if arguments.agents:
            best = arguments.logdir / name / f"seed{max(returns, key=returns.get)}"
            publish(best, arguments.agents / name, license="mit")
    print("\n".join(lines))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
