"""What stands in a run folder, read back, and the page that explains its metrics."""

import json
import pathlib

import numpy as np

DOCUMENTATION = pathlib.Path(__file__).parents[1] / "docs" / "metrics.md"


def metrics(folder):
    """All whole lines of the metrics; any other is an error, but for a last one without its end."""
    path = folder / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def scores(folder):
    [entry] = json.loads((folder / "scores.json").read_text())
    return entry


def newest_state(folder):
    """State of the newest checkpoint; None if there is none yet."""
    paths = [p for p in folder.glob("checkpoints/*") if p.suffix not in (".partial", ".damaged")]
    return json.loads((max(paths) / "state.json").read_text()) if paths else None


def replayed(folder):
    """All stored episodes, in order, as one dict of arrays."""
    episodes = [np.load(path) for path in sorted((folder / "replay").glob("*.npz"))]
    return {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
