"""What a run folder must hold, whenever it is looked at."""

import pathlib

import numpy as np

from dreamer_tf.common.files import TEMPORARY
from dreamer_tf.envs import guardian
from dreamer_tf.replay.ongoing import PieceName
from dreamer_tf.replay.store import EpisodeName
from tests.folders import metrics, newest_state


def episodes(folder):
    """Dict of `EpisodeName` to the arrays of a stored episode."""
    found = {}
    for path in sorted(folder.glob("replay/*.npz")):
        with np.load(path) as file:
            found[EpisodeName.parse(path.name)] = dict(file)
    return found


def ongoing_rows(folder):
    """Dict of the number of an unfinished episode to its stored rows."""
    rows = {}
    for path in folder.glob("replay/ongoing/*.npz"):
        name = PieceName.parse(path.name)
        rows[name.number] = max(rows.get(name.number, 0), name.start + name.rows)
    return rows


def check(folder, earlier):
    """Checks a folder after its trainer was killed.

    Args:
      folder: Run folder.
      earlier: What this returned the last time; None at first.

    Returns:
      What must not be lost from now on.
    """
    stored, state, rows = episodes(folder), newest_state(folder), ongoing_rows(folder)
    for name, before in earlier["stored"].items() if earlier else ():
        assert name in stored, f"the finished episode {name} is lost"
        assert all(np.array_equal(before[k], stored[name][k]) for k in before), f"{name} changed"
    if earlier and earlier["state"]:
        for name, count in earlier["state"]["counters"].items():
            assert state["counters"][name] >= count, f"the counter {name} went back"
    if state:
        steps = max((name.agent_steps for name in stored), default=0)
        steps += sum(count - 1 for count in rows.values())
        assert steps >= state["counters"]["agent_steps"], "rows older than the checkpoint are lost"
        assert max((name.serial for name in stored), default=0) >= state["counters"]["episodes"]
    seeds = [tuple(episode["place"][0, :2]) for episode in stored.values()]
    assert len(set(seeds)) == len(seeds), "an episode is stored twice"
    for episode in stored.values():
        steps = episode["place"][:, 2].tolist()
        if len(steps) > 1 and steps[-1] == steps[-2]:
            steps.pop()  # The environment died: its last observation stands twice.
        assert steps == list(range(len(steps)))
    returns = {round(float(np.sum(e["reward"], dtype=np.float64)), 4) for e in stored.values()}
    logged = [round(line["train/return"], 4) for line in metrics(folder) if "train/return" in line]
    missing = [value for value in logged if min(abs(value - r) for r in returns) > 2e-4]
    assert not missing, f"returns {missing} are logged, and their episodes are not stored"
    return {"stored": stored, "state": state}


def check_finished(folder):
    """Checks a folder after its run ended in good order: counters, and no file left over."""
    stored, counters, rows = (
        episodes(folder),
        newest_state(folder)["counters"],
        ongoing_rows(folder),
    )
    names = list(stored)
    assert [name.serial for name in names] == list(range(1, len(names) + 1))
    assert counters["episodes"] == len(names)
    steps = sum(len(e["reward"]) - 1 for e in stored.values())
    assert counters["agent_steps"] == steps + sum(count - 1 for count in rows.values())
    assert counters["env_frames"] == 2 * counters["agent_steps"]
    odd = [
        path
        for path in folder.rglob("*")
        if TEMPORARY in path.name or ".partial" in path.name or ".damaged" in path.name
    ]
    assert not odd, f"left over: {odd}"
    assert (folder / "metrics.jsonl").read_text().endswith("\n")


def descendants(pid):
    """Processes that a process started, and all that these did, by number."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}


def living(pids):
    """Those of these processes that live, whatever their numbers were given to since."""
    alive = set()
    for pid in pids:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            alive.add(pid)
    return alive


__all__ = [
    "check",
    "check_finished",
    "descendants",
    "guardian",
    "living",
    "metrics",
    "newest_state",
]
