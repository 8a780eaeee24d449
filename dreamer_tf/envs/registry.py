"""Environments by task name."""

import functools
from collections.abc import Mapping
from typing import Any

from dreamer_tf.common.own import ENVIRONMENTS_GROUP, offered
from dreamer_tf.envs import own
from dreamer_tf.envs.base import Env
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvError, nearest
from dreamer_tf.envs.selected import SelectedEnv
from dreamer_tf.envs.spaces import ALL_KEYS
from dreamer_tf.envs.users import from_user

_BY_ID = ("gymnasium", "gym")


def make(
    task: str,
    *,
    observations: str = "pixels",
    image_size: tuple[int, int] = (64, 64),
    camera: int = -1,
    render: str = "full",
    background: str = "own",
    action_repeat: int = 1,
    time_limit: int = 0,
    atari: Mapping[str, Any] | None = None,
    keys: str = ALL_KEYS,
    kwargs: Mapping[str, Any] | None = None,
    evaluation: bool = False,
) -> Env:
    """Makes the environment of a task.

    Args:
      task: ``dmc_<domain>_<task>``, ``atari_<game>``, ``crafter_<reward>``, ``gymnasium_<id>``,
        ``gym_<id>``, or ``<module>:<name>`` for a class or function of one's own.
      observations: What dm_control tasks show: ``pixels``, ``state`` or ``both``.
      image_size: Height and width of images; those of games, gymnasium and gym are resized to it.
      camera: dm_control camera; -1 for the task's usual one.
      render: dm_control rendering, ``full`` or ``fast``.
      background: What stands behind the bodies of dm_control tasks: their ``own`` sky and floor, or
        a ``moving`` pattern.
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
      An `Env` that checks what it returns.

    Raises:
      EnvError: If there is no such task; names the nearest ones.
    """
    options: dict[str, Any] = {
        "image_size": image_size,
        "action_repeat": action_repeat,
        "time_limit": time_limit,
    }
    prefix, _, name = task.partition("_")
    if background != "own" and prefix != "dmc":
        raise EnvError(f"env.background {background} is for dm_control tasks (dmc_…), got {task!r}")
    if own.is_own(task):
        return from_user(own.find(task), keys=keys, kwargs=kwargs, **options)
    families = dict(FAMILIES)
    if prefix not in FAMILIES:
        offers = offered(ENVIRONMENTS_GROUP)
        families |= dict.fromkeys(offers)
    if prefix not in families:
        known = ", ".join(f"{family}_" for family in families)
        near = nearest(prefix, list(families))
        raise EnvError(
            f"unknown task {task!r}: a task begins with one of {known}, such as dmc_walker_walk, "
            f"atari_pong, crafter_reward or gymnasium_CartPole-v1; {near}. An environment of your "
            f"own is --env module:name here, and from Python dreamer_tf.train(lambda: MyEnv(), "
            f"logdir=…) or dreamer_tf.evaluate(logdir, env=lambda: MyEnv()), also for a run that "
            f"began there"
        )
    special = {
        "dmc": {
            "observations": observations,
            "camera": camera,
            "render": render,
            "background": background,
        },
        "atari": {**(atari or {}), **({"end_on_life_loss": False} if evaluation else {})},
        **dict.fromkeys(_BY_ID, {"keys": keys, "kwargs": kwargs}),
    }
    if kwargs and prefix not in _BY_ID:
        raise EnvError(
            f"env.kwargs: got {', '.join(kwargs)} for {task!r}; constructor arguments are for "
            f"tasks of gymnasium, gym and your own"
        )
    make_env = families[prefix]
    if make_env is None:  # Another package's, which is imported only now.
        offered_env = functools.partial(offers[prefix].load(), name, **options)
        return from_user(offered_env, keys=keys, **options)
    env = make_env(name, **options, **special.get(prefix, {}))
    # By its id, an environment selects its keys itself.
    return CheckedEnv(env if prefix in _BY_ID else SelectedEnv.of(env, keys))


def _dmc(name, **options):
    from dreamer_tf.envs.dmc import DMControl

    return DMControl(name, **options)


def _atari(name, **options):
    from dreamer_tf.envs.atari import Atari

    return Atari(name, **options)


def _crafter(name, **options):
    from dreamer_tf.envs.crafter import Crafter

    return Crafter(name, **options)


def _from_id(library):
    def make_env(name, **options):
        from dreamer_tf.envs.gym_registry import from_id

        return from_id(library, name, **options)

    return make_env


FAMILIES = {
    "dmc": _dmc,
    "atari": _atari,
    "crafter": _crafter,
    "gymnasium": _from_id("gymnasium"),
    "gym": _from_id("gym"),
}
"""First word of a task to a function of the rest of its name and of ``image_size``,
``action_repeat`` and ``time_limit``, that makes the environment. Packages are imported when needed.
"""
