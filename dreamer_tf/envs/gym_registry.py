"""Environments of gymnasium and gym by their ids."""

import importlib
import logging
from collections.abc import Mapping

from dreamer_tf.common import own
from dreamer_tf.envs.errors import EnvAbandoned, EnvDied, EnvError, nearest
from dreamer_tf.envs.gym_api import GymEnv, call

logger = logging.getLogger(__name__)


def from_id(package, name, *, kwargs=None, **options):
    """Makes a registered environment.

    Args:
      package: ``gymnasium`` or ``gym``.
      name: Its id, such as ``CartPole-v1``; ``module:id`` imports a module that registers it.
      kwargs: Dict of arguments of the environment's constructor.
      **options: Passed to `GymEnv`.

    Raises:
      EnvError: If the package is missing or the id unknown.
    """
    module, _, name = name.rpartition(":")
    try:
        api = importlib.import_module(package)
        if module:
            own.search_current_folder()
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise EnvError(f"{package}_{name} needs a package that is missing: {error}") from error
    try:
        spec = api.spec(name)
    except api.error.Error as error:
        known = [f"{package}_{known}" for known in api.envs.registration.registry]
        asked = f"{package}_{name}"
        raise EnvError(f"unknown task {asked}; {nearest(asked, known)} ({error})") from error
    settings = dict(kwargs or {})
    asked = f"{package}_{name}"
    try:
        if "render_mode" not in settings and _draws(spec):
            env = _make_drawing(api, name, settings)
        else:
            env = _make(api, name, settings)
    except (api.error.Error, ImportError) as error:
        raise EnvError(f"{asked} cannot be made: {error}") from error
    except TypeError as error:
        if "argument" not in str(error):
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items()) or "no arguments"
        raise EnvError(
            f"{asked} cannot be made with {given}: {error}; constructor arguments are given as "
            f"--env.kwargs name=value"
        ) from error
    return GymEnv(env, **options)


def _make(api, name, settings):
    # Our own checks replace theirs; gym's checker fails with NumPy 2.
    return call(api.make, name, disable_env_checker=True, **settings)


def _make_drawing(api, name, settings):
    """Makes it so that it draws into an array, or else without: then there are no pictures."""
    try:
        return _make(api, name, settings | {"render_mode": "rgb_array"})
    except (EnvAbandoned, EnvDied):
        raise
    except Exception as error:  # A package, a driver or a display is missing, say.
        reason = error
    env = _make(api, name, settings)
    if isinstance(reason, TypeError) and "argument 'render_mode'" in str(reason):
        logger.warning(
            "%r: its metadata name rgb_array, but its constructor takes no render_mode: it is made "
            "without, and draws no pictures",
            name,
        )
    else:
        logger.warning(
            "%r: it cannot be made with render_mode='rgb_array', and draws no pictures: %s",
            *(name, str(reason) or repr(reason)),
        )
    return env


def _draws(spec):
    """Whether the environment's class says that it can draw into an array."""
    creator = spec.entry_point
    if isinstance(creator, str):
        module, _, name = creator.partition(":")
        creator = getattr(importlib.import_module(module), name)
    metadata = getattr(creator, "metadata", None)  # Of a wrapper's class it is a property.
    return isinstance(metadata, Mapping) and "rgb_array" in (metadata.get("render_modes") or ())
