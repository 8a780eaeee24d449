"""What can go wrong with an environment, and names for what was probably meant."""

from dreamer_tf import common


class EnvError(ValueError):
    """An environment that cannot be used as it is: repeating the attempt would not help.

    Attributes:
      problems: A text for each thing that is wrong.
    """

    def __init__(self, *problems):
        """Makes one message of all problems.

        Args:
          *problems: Texts: what was got, what was expected, what to do.
        """
        super().__init__("\n".join(problems))
        self.problems = problems


class EnvDied(RuntimeError):
    """An environment that worked and then crashed, was killed, or raised an error of its own."""


class EnvAbandoned(RuntimeError):
    """A reply that was not waited for any longer, because the run is to stop."""


class WorkerFault(RuntimeError):
    """An error in what stands around the environment here: not the environment's, so no death."""


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
