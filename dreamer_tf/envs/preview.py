"""Shows what an agent will see of an environment."""

from typing import Any

import numpy as np

from dreamer_tf.envs.gym_api import from_user


def check_env(environment: Any, *, seed: int = 0, steps: int = 1000) -> str:
    """Plays one episode of random actions and describes what the agent gets to see.

    Args:
      environment: Whatever `from_user` takes.
      seed: Of the episode and the actions.
      steps: Ends the episode after this many steps at the latest.

    Returns:
      Text: keys, dtypes, shapes, bounds and seen values of observations and actions, rewards,
      length of the episode and how it ended.

    Raises:
      EnvError: If a value does not fit its space.
    """
    env = from_user(environment)
    rng = np.random.default_rng(seed)
    rows = [env.reset(seed)]
    while len(rows) <= steps and not rows[-1]["is_last"]:
        rows.append(env.step({key: space.sample(rng) for key, space in env.act_space.items()}))
    lines = ["observations"]
    for key, space in env.obs_space.items():
        seen = np.stack([row[key] for row in rows])
        lines.append(f"  {key}: {space}, seen {seen.min():g} to {seen.max():g}")
    lines.append("actions")
    lines += [f"  {key}: {space}" for key, space in env.act_space.items()]
    rewards = np.array([row["reward"] for row in rows[1:]])
    lines.append(
        f"reward: {rewards.min():g} to {rewards.max():g} per step, return {rewards.sum():g}"
    )
    frames = f"{env.frames_per_step} frames per step"
    lines.append(f"episode: {len(rewards)} steps ({frames}), {_describe_end(rows[-1])}")
    return "\n".join(lines)


def _describe_end(row):
    if row["is_terminal"]:
        return "terminated"
    return "cut off" if row["is_last"] else "still running"
