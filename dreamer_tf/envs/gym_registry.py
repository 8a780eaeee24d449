"""Environments of gymnasium and gym by their ids."""

import importlib

from dreamer_tf.envs.errors import EnvError, nearest
from dreamer_tf.envs.gym_api import GymEnv


def from_id(package, name, **options):
    """Makes a registered environment.

    Args:
      package: ``gymnasium`` or ``gym``.
      name: Its id, such as ``CartPole-v1``; ``module:id`` imports a module that registers it.
      **options: Passed to `GymEnv`.

    Raises:
      EnvError: If the package is missing or the id unknown.
    """
    module, _, name = name.rpartition(":")
    try:
        api = importlib.import_module(package)
        if module:
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise EnvError(f"{package}_{name} needs a package that is missing: {error}") from error
    try:
        spec = api.spec(name)
    except api.error.Error as error:
        known = [f"{package}_{known}" for known in api.envs.registration.registry]
        asked = f"{package}_{name}"
        raise EnvError(f"unknown task {asked}; {nearest(asked, known)} ({error})") from error
    # Our own checks replace theirs; gym's checker fails with NumPy 2.
    settings = {"disable_env_checker": True}
    try:
        if _draws(spec):
            settings["render_mode"] = "rgb_array"
        env = api.make(name, **settings)
    except (api.error.Error, ImportError) as error:
        raise EnvError(f"{package}_{name} cannot be made: {error}") from error
    return GymEnv(env, **options)


def _draws(spec):
    """Whether the environment's class says that it can draw into an array."""
    creator = spec.entry_point
    if isinstance(creator, str):
        module, _, name = creator.partition(":")
        creator = getattr(importlib.import_module(module), name)
    return "rgb_array" in getattr(creator, "metadata", {}).get("render_modes", ())
