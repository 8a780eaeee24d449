"""DreamerV2 on an environment of one's own: an image, a vector, and a discrete action.

python examples/dreamerv2_image_and_vector.py
"""

import sys

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

import dreamer_tf as dreamer


class Catch(gymnasium.Env):
    """Catch a falling ball: the image shows where it is, the vector how fast it falls.

    The paddle moves left, stays, or moves right. The episode ends when the ball arrives: 1 if it is
    caught, -1 if it is missed.
    """

    observation_space = Dict(
        {"image": Box(0, 255, (16, 16, 3), np.uint8), "speed": Box(0, 2, (1,))}
    )
    action_space = Discrete(3)

    def reset(self, seed=None, options=None):
        rng = np.random.default_rng(seed)
        self.ball, self.height, self.paddle = rng.integers(16), 15.0, 8
        self.speed = rng.uniform(0.5, 2)
        return self.observe(), {}

    def step(self, action):
        self.paddle = int(np.clip(self.paddle + action - 1, 0, 15))
        self.height = max(self.height - self.speed, 0.0)
        landed = self.height == 0
        caught = abs(self.paddle - self.ball) <= 1
        reward = (1.0 if caught else -1.0) if landed else 0.0
        return self.observe(), reward, landed, False, {}

    def observe(self):
        image = np.zeros((16, 16, 3), np.uint8)
        draw(image, 15, self.paddle, (255, 255, 255))
        draw(image, 15 - round(self.height), self.ball, (255, 80, 0))
        return {"image": image, "speed": np.array([self.speed], np.float32)}


def draw(image, row, column, color):
    """A block of 3×3 pixels: a world model overlooks single ones for long."""
    image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = color


def main(logdir="runs/catch", steps=12_000, configs=("dreamerv2_cpu",), **overrides):
    """Trains, then plays a few episodes."""
    options = {
        "agent": "dreamerv2",
        "env.action_repeat": 1,
        "env.image_size": (16, 16),  # as they are; other sizes would be brought to this one
        "run.prefill": 1000,
        "run.pretrain": 200,
        "run.train_every": 8,
        "run.eval_every": 1000,
        "run.eval_episodes": 20,
        "dreamerv2.discount_model": True,  # an episode's end is part of the task
        "dreamerv2.entropy_scale": 3e-3,  # rewards come late: the policy must stay open until then
    }
    run = dreamer.train(Catch, configs, logdir, steps, **(options | overrides))
    result = dreamer.evaluate(logdir, episodes=20, env=Catch)
    print(f"return {result.mean:.2f} ± {result.std:.2f} in 20 episodes")
    return run.agent, result


if __name__ == "__main__":
    main(*sys.argv[1:2])
