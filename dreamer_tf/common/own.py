"""Classes and functions of one's own by name: ``module:name``, or as other packages offer them."""

import importlib
import importlib.metadata
import os
import re
import sys
import typing

from dreamer_tf.common.names import nearest

OWN_NAME = re.compile(r"[\w.]+:[^\W\d][\w.<>]*")
"""``module:name``; ``<locals>`` is in the names of what is defined inside a function."""

AGENTS_GROUP, ENVIRONMENTS_GROUP = "dreamer_tf.agents", "dreamer_tf.environments"
"""Entry-point groups: an agent's name to its class; the first word of tasks to a function of the
rest of the name and of ``image_size``, ``action_repeat`` and ``time_limit``."""


def own_name(thing: typing.Any) -> str:
    """The name ``module:name`` under which `find` finds a class or function."""
    return f"{thing.__module__}:{thing.__qualname__}"


def short_name(name: str) -> str:
    """``name`` of ``module:name``; other names as they are."""
    return name.rpartition(":")[2].rpartition(".")[2] if OWN_NAME.fullmatch(name) else name


def find(name: str) -> typing.Any:
    """What stands in the module under the name.

    Args:
      name: ``module:name``; modules of the current folder are found, too.

    Raises:
      LookupError: If there is no such module, or nothing of that name in it.
    """
    module_name, _, path = name.partition(":")
    search_current_folder()
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise LookupError(
                f"{name!r}: there is no module {error.name!r}, neither in the current folder "
                f"{os.getcwd()!r} nor among those installed; expected module:name, such as "
                f"my_robot:Arm for the class Arm in my_robot.py"
            ) from error
        raise LookupError(
            f"{name!r}: {module_name} needs a module that is missing: {error}"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            known = [key for key, value in vars(found).items() if callable(value)]
            near = nearest(part, known) or known[:3]
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise LookupError(f"{name!r}: {found.__name__} has no {part!r}{hint}")
        found = getattr(found, part)
    return found


def search_current_folder() -> None:
    """Lets modules in the current folder be imported, as ``python -m`` does."""
    folder = os.getcwd()
    if not {folder, ""} & set(sys.path):
        sys.path.insert(0, folder)


def offered(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """What installed packages offer in an entry-point group, by name; nothing is imported."""
    return {point.name: point for point in importlib.metadata.entry_points(group=group)}
