"""Plays recorded observations with exports, in a process that has TensorFlow and nothing else.

python fresh_process.py FOLDER: for every export in the folder reads ``<name>.npz`` and writes
``<name>.out.npz``. This file is run alone: it imports nothing of the project or of its tests.
"""

import pathlib
import sys

for blocked in ("dreamer_tf", "keras", "tensorflow_probability", "tf_keras"):
    sys.modules[blocked] = None  # An import of it is an error.

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def state_of(answer):
    return {name: value for name, value in answer.items() if name.startswith("state_")}


def play(function, state, recorded, rows, steps):
    """The actions along recorded observations, dict of ``[T, N, ...]``."""
    played = []
    for step in range(steps):
        inputs = {name: tf.constant(values[step, rows]) for name, values in recorded.items()}
        answer = function(**inputs, **state)
        state = state_of(answer)
        played.append({name: x.numpy() for name, x in answer.items() if name not in state})
    return {name: np.stack([one[name] for one in played]) for name in played[0]}, state


def main(folder):
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            recorded = dict(file)
        imagined = {name: recorded.pop(f"imagine/{name}") for name in list(recorded["actions"])}
        del recorded["actions"]
        policy = tf.saved_model.load(str(folder / path.stem)).signatures
        steps, count = recorded["is_first"].shape
        first = policy["initial_state"](batch_size=tf.constant(count))
        out = {}
        for name in ("act", "act_sample"):
            actions, last = play(policy[name], first, recorded, slice(None), steps)
            out |= {f"{name}/{key}": value for key, value in actions.items()}
        third = {name: value[2:3] for name, value in first.items()}
        alone, _ = play(policy["act_sample"], third, recorded, slice(2, 3), 10)
        out |= {f"alone/{key}": value for key, value in alone.items()}
        out |= {f"last/{key}": value.numpy() for key, value in last.items()}
        answer = policy["imagine"](**last, **{k: tf.constant(v) for k, v in imagined.items()})
        out |= {f"imagine/{key}": value.numpy() for key, value in answer.items()}
        np.savez(folder / f"{path.stem}.out", **out)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
