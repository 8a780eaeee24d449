"""Environments by task name."""

from dreamer_tf.envs import own
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvError, nearest
from dreamer_tf.envs.gym_api import from_user
from dreamer_tf.envs.selected import SelectedEnv
from dreamer_tf.envs.spaces import ALL_KEYS


def make(
    task,
    *,
    observations="pixels",
    image_size=(64, 64),
    camera=-1,
    render="full",
    action_repeat=1,
    time_limit=0,
    atari=None,
    keys=ALL_KEYS,
    kwargs=None,
    evaluation=False,
):
    """Makes the environment of a task.

    Args:
      task: ``dmc_<domain>_<task>``, ``atari_<game>``, ``crafter_<reward>``, ``gymnasium_<id>``,
        ``gym_<id>``, or ``<module>:<name>`` for a class or function of one's own.
      observations: What dm_control tasks show: ``pixels``, ``state`` or ``both``.
      image_size: Height and width of images; those of games, gymnasium and gym are resized to it.
      camera: dm_control camera; -1 for the task's usual one.
      render: dm_control rendering, ``full`` or ``fast``.
      action_repeat: Frames per step; rewards are summed. 0, for dm_control tasks only: PlaNet's
        choice for the domain.
      time_limit: Frames until an episode is cut off; 0 for the task's own limit only.
      atari: Dict of further arguments of `Atari`, for its tasks.
      keys: Regular expression that the whole key of an observation must match; others are left
        out with a notice.
      kwargs: Dict of constructor arguments, for tasks of gymnasium and gym and one's own.
      evaluation: Whether the episodes are an evaluation's: whole games of Atari then, whatever
        ``atari`` says about lost lives.

    Returns:
      An ``Env`` that checks what it returns.

    Raises:
      EnvError: If there is no such task; names the nearest ones.
    """
    prefix, _, name = task.partition("_")
    options = {"image_size": image_size, "action_repeat": action_repeat, "time_limit": time_limit}
    if own.is_own(task):
        return from_user(own.find(task), keys=keys, kwargs=kwargs, **options)
    if prefix in ("gymnasium", "gym"):
        from dreamer_tf.envs.gym_registry import from_id

        return CheckedEnv(from_id(prefix, name, kwargs=kwargs, keys=keys, **options))
    if kwargs:
        raise EnvError(
            f"env.kwargs: got {', '.join(kwargs)} for {task!r}; constructor arguments are for "
            f"tasks of gymnasium, gym and your own"
        )
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
    else:
        prefixes = ["dmc", "atari", "crafter", "gymnasium", "gym"]
        raise EnvError(
            f"unknown task {task!r}: a task begins with dmc_, atari_, crafter_, gymnasium_ or "
            f"gym_, such as dmc_walker_walk, atari_pong, crafter_reward or gymnasium_CartPole-v1; "
            f"{nearest(prefix, prefixes)}. An environment of your own is --env module:name here, "
            f"and from Python dreamer_tf.train(lambda: MyEnv(), logdir=…) or "
            f"dreamer_tf.evaluate(logdir, env=lambda: MyEnv()), also for a run that began there"
        )
    return CheckedEnv(SelectedEnv.of(env, keys))
