"""Environments of one's own by name: ``module:name``, the current folder among the places."""

import importlib.util

from dreamer_tf.common import own
from dreamer_tf.envs.errors import EnvError


def is_own(task):
    """Whether a task names something in a module, and no id of gymnasium or gym does it.

    ``gymnasium_<module>:<id>`` looks alike: the module decides, where one has the whole name.
    """
    if not own.OWN_NAME.fullmatch(task):
        return False
    module = task.partition(":")[0]
    if not module.startswith(("gymnasium_", "gym_")):
        return True
    own.search_current_folder()
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def find(task):
    """What stands in the module under the name: a class, a function, or an environment.

    Raises:
      EnvError: If there is no such module, or nothing of that name in it.
    """
    try:
        return own.find(task)
    except LookupError as error:
        raise EnvError(str(error.args[0])) from error
