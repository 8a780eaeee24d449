"""Names that were probably meant."""

import difflib
import typing


def nearest(
    name: str, known: typing.Iterable[str], count: int = 3, cutoff: float = 0.6
) -> list[str]:
    """The known names that come nearest to one that is not among them, best first.

    Args:
      name: What was asked for.
      known: The names that exist.
      count: How many to suggest at most.
      cutoff: How alike they must be, 0 to 1.
    """
    return difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff)
