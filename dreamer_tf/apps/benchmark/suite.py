"""All goals of speed in one go: what a machine reaches of them, as a table and as JSON.

Each work is measured in a process of its own, one after the other, by the command itself. Goals of
updates are ratios to the float32 matrix product of the same process, so that they hold wherever the
suite runs.
"""

import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

_COMMAND = "from dreamer_tf.apps.benchmark.commands import benchmark; benchmark()"
_BFLOAT16 = "--precision mixed_bfloat16"
_BALANCE = "--task dmc_cartpole_balance"
WORKS = {
    "dmc_tf2": "--configs dmc_tf2",
    "dmc_tf2, bfloat16": f"--configs dmc_tf2 {_BFLOAT16}",
    "dreamerv2_dmc_vision": "--configs dreamerv2_dmc_vision",
    "size12m pixels": "--configs dreamerv3_dmc_vision size12m --env.count 1",
    "size12m pixels, bfloat16": f"--configs dreamerv3_dmc_vision size12m --env.count 1 {_BFLOAT16}",
    "size1m": "--configs dreamerv3_dmc_proprio size1m --env.count 1 --op_threads 1",
    "size1m, bfloat16": "--configs dreamerv3_dmc_proprio size1m --env.count 1 --op_threads 1 "
    + _BFLOAT16,
    "dmc_proprio cpu": f"--configs dmc_proprio cpu {_BALANCE}",
    "dreamerv3_quick": f"--configs dreamerv3_dmc_proprio dreamerv3_quick {_BALANCE}",
}
"""What is measured: name, and its options."""


class Goal(NamedTuple):
    """A figure that should not be above a limit.

    Attributes:
      works: Names in ``WORKS``; the best of them counts.
      figure: Place in the result of `commands.run`, ``section.name``.
      limit: The most that it may be.
    """

    works: tuple[str, ...]
    figure: str
    limit: float


_RATIO, _FIRST = "arithmetic.ratio_to_floor", "start.first_update_seconds"
_POLICY = "policy.train_seconds"
NAMES = {_RATIO: "update, in floors", _FIRST: "first update, s", _POLICY: "policy step, s"}
GOALS = (
    Goal(("dmc_tf2",), _RATIO, 1.35),
    Goal(("dmc_tf2, bfloat16",), _RATIO, 0.9),
    Goal(("dreamerv2_dmc_vision",), _RATIO, 1.3),
    Goal(("size12m pixels",), _RATIO, 1.25),
    Goal(("size12m pixels, bfloat16",), _RATIO, 0.75),
    Goal(("size1m", "size1m, bfloat16"), _RATIO, 2.2),
    # Half of what they took when the goals were set.
    Goal(("dmc_proprio cpu",), _RATIO, 1.93),
    Goal(("dreamerv3_quick",), _RATIO, 2.05),
    *(Goal((work,), _FIRST, 8.0) for work in WORKS if "bfloat16" not in work),
    Goal(("size1m",), _POLICY, 0.0005),
    Goal(("dmc_proprio cpu",), _POLICY, 0.0005),
)


def run(updates, seconds, works=WORKS, goals=GOALS):
    """Measures all works.

    Args:
      updates: How many updates to time of each.
      seconds: How long to measure each other figure.
      works: Dict of name to options.
      goals: Sequence of `Goal`.

    Returns:
      Dict of JSON values: ``goals``, a dict each of ``work``, ``figure``, ``value``, ``goal``,
      ``ratio`` and ``reached``; and ``results``, what the command saved of each work.

    Raises:
      CalledProcessError: If one could not be measured; what it said was printed.
    """
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "figures.json"
        for name, options in works.items():
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            own = ["--updates", str(updates), "--seconds", str(seconds), "--out", str(path)]
            command = [sys.executable, "-c", _COMMAND, *shlex.split(options), *own]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            results[name] = json.loads(path.read_text(encoding="utf-8"))
    return {"goals": [judge(goal, results) for goal in goals], "results": results}


def judge(goal, results):
    """How a `Goal` stands in results by name of work."""
    section, _, key = goal.figure.partition(".")
    work = min(goal.works, key=lambda name: results[name][section][key])
    value = results[work][section][key]
    return {
        "work": work,
        "figure": goal.figure,
        "value": value,
        "goal": goal.limit,
        "ratio": value / goal.limit,
        "reached": value <= goal.limit,
    }


def render(result):
    """A result as text."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("work", "figure", "value", "goal", "of the goal", "reached"):
        table.add_column(name, justify="left" if name in ("work", "figure") else "right")
    for row in result["goals"]:
        numbers = (f"{row['value']:.3g}", f"{row['goal']:.3g}", f"{row['ratio']:.0%}")
        name = NAMES.get(row["figure"], row["figure"])
        table.add_row(row["work"], name, *numbers, "yes" if row["reached"] else "no")
    reached = sum(row["reached"] for row in result["goals"])
    return f"{text_of(table)}\n{reached} of {len(result['goals'])} goals reached\n"


def text_of(table):
    """A rich ``Table`` as text, without the end of its last line."""
    console = Console(width=100, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
