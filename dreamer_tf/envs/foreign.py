"""Where code that is not ours is called, so that an error tells whose it is."""

import sys
import traceback

_ROOM = __name__.rpartition(".")[0]
# What stands around every environment; a simulator's own module belongs to the simulator.
_OURS = {
    f"{_ROOM}.{name}"
    for name in ("base", "checks", "gym_api", "host", "images", "selected", "spaces", "structure")
}
_LIBRARIES = {"numpy", "PIL", *sys.stdlib_module_names}


def call(function, *args, **kwargs):
    """Calls a function of the user's environment."""
    return function(*args, **kwargs)


def is_ours(error):
    """Whether an error arose in what stands around the environment, not in the environment."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is call.__code__:
            return False
        module = frame.f_globals.get("__name__", "")
        if module not in _OURS and module.partition(".")[0] not in _LIBRARIES:
            return False
    return True
