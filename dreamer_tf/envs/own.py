"""Environments of one's own by name: ``module:name``, the current folder among the places."""

import importlib
import importlib.util
import os
import re
import sys

from dreamer_tf.envs.errors import EnvError, nearest

_NAME = re.compile(r"[\w.]+:[^\W\d][\w.]*")


def is_own(task):
    """Whether a task names something in a module, and no id of gymnasium or gym does it.

    ``gymnasium_<module>:<id>`` looks alike: the module decides, where one has the whole name.
    """
    if not _NAME.fullmatch(task):
        return False
    module = task.partition(":")[0]
    if not module.startswith(("gymnasium_", "gym_")):
        return True
    search_current_folder()
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def find(task):
    """What stands in the module under the name: a class, a function, or an environment.

    Raises:
      EnvError: If there is no such module, or nothing of that name in it.
    """
    module_name, _, path = task.partition(":")
    search_current_folder()
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise EnvError(
                f"{task!r}: there is no module {error.name!r}, neither in the current folder "
                f"{os.getcwd()!r} nor among those installed; expected module:name, such as "
                f"my_robot:Arm for the class Arm in my_robot.py"
            ) from error
        raise EnvError(
            f"{task!r}: {module_name} needs a module that is missing: {error}"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            known = [key for key, value in vars(found).items() if callable(value)]
            hint = f"; {nearest(name, known)}" if known else ""
            raise EnvError(f"{task!r}: {found.__name__} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def search_current_folder():
    """Lets modules in the current folder be imported, as ``python -m`` does."""
    folder = os.getcwd()
    if not {folder, ""} & set(sys.path):
        sys.path.insert(0, folder)
