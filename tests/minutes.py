"""How many minutes an agent takes to learn: ``make minutes``, or ``python -m tests.minutes``.

Trains the tasks of ``docs/results/minutes.yaml`` one after the other, each until an evaluation's
mean return is at or above the task's threshold, and prints the minutes since its process began,
evaluations included. The machine should do nothing else. Another program is timed likewise by what
it prints, such as the returns of its training episodes, of which the last ten count::

    python -m tests.minutes --threshold 475 --program "program --task CartPole-v1" \
        --pattern "reward=([-0-9.]+)" --window 10

Exit codes: 0 learned; 1 a program ended, or its time was up, before.
"""

import argparse
import collections
import os
import pathlib
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time

from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "results" / "minutes.yaml"
EVALUATIONS = r'"eval/return": ([-+.0-9eE]+)'
"""What ``metrics.jsonl`` has of an evaluation."""


def is_learned(returns, threshold, window):
    """Whether somewhere the mean of ``window`` returns in a row is at or above the threshold."""
    last = collections.deque(maxlen=window)
    for value in returns:
        last.append(value)
        if len(last) == window and statistics.fmean(last) >= threshold:
            return True
    return False


def measure(words, folder, threshold, limit, *, lines=None, pattern=EVALUATIONS, window=1):
    """Runs a program until it has learned, and ends it.

    Args:
      words: The program and its arguments.
      folder: Where a file with what it prints is made.
      threshold: The return that counts as learned.
      limit: Minutes after which it is given up.
      lines: File of its own in which returns stand; None: they stand in what it prints.
      pattern: Regular expression whose group is a return.
      window: Over how many returns in a row the mean is taken.

    Returns:
      Minutes, or None where it did not learn within them.

    Raises:
      FileExistsError: If the returns of an earlier run stand in ``lines``.
    """
    if lines and lines.exists():
        raise FileExistsError(f"{lines} is there: returns of an earlier run would count; move it")
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "printed.txt"
    lines = lines or output
    begin = time.monotonic()
    with output.open("w") as printed:
        program = subprocess.Popen(
            words,
            # What a Python program prints to a file would otherwise come thousands of bytes late.
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            running = True
            while running and time.monotonic() - begin < 60 * limit:
                time.sleep(0.5)
                running = program.poll() is None
                text = lines.read_text(errors="replace") if lines.exists() else ""
                text = text[: text.rfind("\n") + 1]  # A number may be cut off at the end.
                if is_learned(map(float, re.findall(pattern, text)), threshold, window):
                    return (time.monotonic() - begin) / 60
            return None
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def main(argv=None):
    """Measures, prints a line for each run, and exits with the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    yaml = YAML()
    yaml.width = 1000
    tasks = yaml.load(RECORD)
    parser.add_argument("--only", nargs="+", choices=list(tasks), default=list(tasks))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--record", action="store_true", help="write the minutes to minutes.yaml")
    parser.add_argument("--limit", type=float, default=120.0, help="minutes to give up after")
    parser.add_argument("--logdir", type=pathlib.Path, default=ROOT / "build" / "minutes")
    parser.add_argument("--program", help="another program, as one text, in place of the tasks")
    parser.add_argument("--pattern", help="regular expression with a return that it prints")
    parser.add_argument("--window", type=int, default=10, help="how many returns are averaged")
    parser.add_argument("--threshold", type=float, help="the return that counts as learned")
    given = parser.parse_args(argv)
    if given.program:
        if None in (given.pattern, given.threshold):
            parser.error("--program needs --pattern and --threshold")
        words = shlex.split(given.program)
        options = {"pattern": given.pattern, "window": given.window}
        took = measure(words, given.logdir, given.threshold, given.limit, **options)
        print(_line(words[0], took, given.limit))
        raise SystemExit(took is None)
    code = 0
    for name in given.only:
        task = tasks[name]
        for seed in given.seeds:
            folder = given.logdir / name / f"seed{seed}"
            words = [sys.executable, "-m", "dreamer_tf.apps.train", *shlex.split(task["command"])]
            words += ["--seed", str(seed), "--logdir", str(folder)]
            lines = folder / "metrics.jsonl"
            took = measure(words, given.logdir, task["threshold"], given.limit, lines=lines)
            print(_line(f"{name}, seed {seed}", took, given.limit), flush=True)
            code = max(code, took is None)
            if given.record:
                task["minutes"][seed] = None if took is None else round(took, 1)
                with RECORD.open("w", encoding="utf-8") as file:
                    yaml.dump(tasks, file)
    raise SystemExit(code)


def _line(name, took, limit):
    return f"{name}: " + (
        f"{took:.1f} minutes" if took is not None else f"not learned within {limit:g}"
    )


if __name__ == "__main__":
    main()
