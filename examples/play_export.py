"""Plays an exported policy in a gymnasium environment, with TensorFlow and without dreamer_tf.

python examples/play_export.py EXPORT CartPole-v1

For environments of gymnasium whose observation is one vector or one image of the size that the
agent was trained on, and whose steps the agent does not repeat (``--env.action_repeat 1``).
"""

import json
import pathlib
import sys

import gymnasium
import numpy as np
import tensorflow as tf


class Policy:
    """Plays one episode after another; remembers what the SavedModel does not."""

    def __init__(self, folder):
        """Loads an export; its ``export.json`` says what it takes."""
        self.signatures = tf.saved_model.load(str(folder)).signatures
        self.spaces = json.loads((pathlib.Path(folder) / "export.json").read_text())
        self.state = self.signatures["initial_state"](batch_size=tf.constant(1))

    def check(self, observation):
        """Ends the program unless the observation is what the policy takes."""
        for key, space in self.spaces["observations"].items():
            got = observation.get(key)
            if got is None or list(got.shape) != space["shape"]:
                shape = "nothing" if got is None else f"shape {list(got.shape)}"
                raise SystemExit(
                    f"the policy sees {key!r} as {space['dtype']} {space['shape']}; "
                    f"this environment has {shape} there"
                )

    def __call__(self, observation, is_first):
        """The action of a single environment, as it takes it."""
        inputs = {
            space["name"]: tf.constant(observation[key][None], space["dtype"])
            for key, space in self.spaces["observations"].items()
        }
        answer = self.signatures["act"](**inputs, **self.state, is_first=tf.constant([is_first]))
        self.state = {name: x for name, x in answer.items() if name.startswith("state_")}
        return answer["action"].numpy()[0]


def play(policy, env, episodes=3):
    """Returns of some episodes."""
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        total, ended, is_first = 0.0, False, True
        while not ended:
            named = {"vector" if np.ndim(observation) == 1 else "image": np.asarray(observation)}
            if is_first:
                policy.check(named)
            action = policy(named, is_first)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            ended, is_first = terminated or truncated, False
        returns.append(total)
    return returns


def main(folder, task):
    """Plays and prints the returns."""
    print("returns", *(f"{value:.1f}" for value in play(Policy(folder), gymnasium.make(task))))


if __name__ == "__main__":
    main(*sys.argv[1:3])
