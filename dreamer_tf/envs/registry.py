"""Environments by task name."""

from collections.abc import Mapping
from typing import Any

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvError, nearest


def make(
    task: str,
    *,
    observations: str = "pixels",
    image_size: tuple[int, int] = (64, 64),
    camera: int = -1,
    render: str = "full",
    action_repeat: int = 1,
    time_limit: int = 0,
    atari: Mapping[str, Any] | None = None,
    evaluation: bool = False,
) -> Env:
    """Makes the environment of a task.

    Args:
      task: ``dmc_<domain>_<task>``, ``atari_<game>``, ``crafter_<reward>``, ``gymnasium_<id>`` or
        ``gym_<id>``.
      observations: What dm_control tasks show: ``pixels``, ``state`` or ``both``.
      image_size: Height and width of images; those of games, gymnasium and gym are resized to it.
      camera: dm_control camera; -1 for the task's usual one.
      render: dm_control rendering, ``full`` or ``fast``.
      action_repeat: Frames per step; rewards are summed. 0, for dm_control tasks only: PlaNet's
        choice for the domain.
      time_limit: Frames until an episode is cut off; 0 for the task's own limit only.
      atari: Dict of further arguments of `Atari`, for its tasks.
      evaluation: Whether the episodes are an evaluation's: whole games of Atari then, whatever
        ``atari`` says about lost lives.

    Returns:
      An `Env` that checks what it returns.

    Raises:
      EnvError: If there is no such task; names the nearest ones.
    """
    prefix, _, name = task.partition("_")
    options: dict[str, Any] = {
        "image_size": image_size,
        "action_repeat": action_repeat,
        "time_limit": time_limit,
    }
    env: Env
    if prefix == "dmc":
        from dreamer_tf.envs.dmc import DMControl

        env = DMControl(name, observations=observations, camera=camera, render=render, **options)
    elif prefix == "atari":
        from dreamer_tf.envs.atari import Atari

        lives = {"end_on_life_loss": False} if evaluation else {}
        env = Atari(name, **{**options, **(atari or {}), **lives})
    elif prefix == "crafter":
        from dreamer_tf.envs.crafter import Crafter

        env = Crafter(name, **options)
    elif prefix in ("gymnasium", "gym"):
        from dreamer_tf.envs.gym_registry import from_id

        env = from_id(prefix, name, **options)
    else:
        prefixes = ["dmc", "atari", "crafter", "gymnasium", "gym"]
        raise EnvError(
            f"unknown task {task!r}: a task begins with dmc_, atari_, crafter_, gymnasium_ or "
            f"gym_, such as dmc_walker_walk, atari_pong, crafter_reward or gymnasium_CartPole-v1; "
            f"{nearest(prefix, prefixes)}"
        )
    return CheckedEnv(env)
