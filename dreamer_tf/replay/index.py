"""Which episodes a replay holds: four numbers each, so that 100,000 of them stay small."""

import numpy as np

from dreamer_tf.replay.folder import EpisodeName


class EpisodeIndex:
    """The table of stored episodes, oldest first."""

    def __init__(self, episodes=()):
        """Builds the table.

        Args:
          episodes: Sequence of (`EpisodeName`, bytes on disk), oldest first.
        """
        table = [(*name, size) for name, size in episodes]
        self._table = np.array(table, np.int64).reshape(-1, 4)

    def __len__(self):
        return len(self._table)

    def __getitem__(self, position):
        """Name of the episode at a position."""
        return EpisodeName(*self._table[position, :3].tolist())

    @property
    def serials(self):
        """Serial of each episode, an increasing array ``[episodes]``."""
        return self._table[:, 0]

    @property
    def rows(self):
        """Rows of each episode, an array ``[episodes]``."""
        return self._table[:, 1]

    @property
    def nbytes(self):
        """Size of each episode's file in bytes, an array ``[episodes]``."""
        return self._table[:, 3]

    def find(self, serial):
        """Position of the episode with that serial; None if there is none."""
        position = int(np.searchsorted(self.serials, serial))
        found = position < len(self) and self.serials[position] == serial
        return position if found else None

    def append(self, name, size):
        """Adds the newest episode."""
        self._table = np.concatenate([self._table, [(*name, size)]])

    def remove(self, position):
        """Takes out the episode at a position."""
        self._table = np.delete(self._table, position, axis=0)

    def drop_oldest(self, capacity):
        """Takes out the oldest episodes until at most ``capacity`` rows are left.

        The newest episode stays, however long it is.

        Returns:
          List of the names taken out, oldest first.
        """
        excess = int(self.rows.sum()) - capacity
        if excess <= 0:
            return []
        count = int(np.searchsorted(np.cumsum(self.rows), excess)) + 1
        count = min(count, len(self) - 1)
        names = [self[position] for position in range(count)]
        self._table = self._table[count:].copy()
        return names
