"""What sequences can be drawn from at one moment."""

from typing import NamedTuple

import numpy as np


class Catalogue(NamedTuple):
    """The episodes at hand, oldest first, those that are still being played at the end.

    Attributes:
      episodes: ``[n]`` int64: the serial of a stored episode, a negative number for a running one.
      rows: ``[n]`` int64.
      running: How many of them are still being played.
    """

    episodes: np.ndarray
    rows: np.ndarray
    running: int

    @property
    def whole(self) -> int:
        """Number of episodes that have ended; they come first."""
        return len(self.episodes) - self.running

    def windows(self, length: int) -> np.ndarray:
        """Number of sequences of ``length`` rows that each episode can begin, ``[n]``.

        An episode that has ended has one for each window inside of it, the one with its last row
        included, and at least one: a shorter one is continued by another. In a running episode a
        sequence ends before what is not known yet.
        """
        inside = self.rows - length + 1
        inside[: self.whole] = np.maximum(inside[: self.whole], 1)
        return np.maximum(inside, 0)

    def starts(self, length: int) -> np.ndarray:
        """Number of rows of each episode that can begin a sequence of ``length`` rows, ``[n]``.

        Every row of an episode that has ended can: what its rest leaves is continued by another.
        """
        inside = self.windows(length)
        inside[: self.whole] = self.rows[: self.whole]
        return inside

    def find(self, episode: int) -> int | None:
        """Position of an episode; None if it is not at hand."""
        whole = self.whole
        position = int(np.searchsorted(self.episodes[:whole], episode))
        if position < whole and self.episodes[position] == episode:
            return position
        running = np.flatnonzero(self.episodes[whole:] == episode)
        return whole + int(running[0]) if len(running) else None
