"""What can go wrong with an environment, and names for what was probably meant."""

from dreamer_tf import common


class EnvError(ValueError):
    """An environment that cannot be used as it is: repeating the attempt would not help."""


class EnvDied(RuntimeError):
    """An environment that worked and then crashed, was killed, or raised an error of its own."""


def nearest(name, known, count=5):
    """A sentence that suggests what ``name`` may have meant.

    Args:
      name: What was asked for.
      known: The names that exist.
      count: How many names to suggest at most.
    """
    close = common.nearest(name, known, count, cutoff=0.5)
    if close:
        return f"the nearest names are {', '.join(close)}"
    return f"known names are {', '.join(sorted(known))}"
