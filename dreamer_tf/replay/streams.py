"""Episodes that are still being played, row by row, one for each environment."""

import numpy as np

_FIRST_ROWS = 256


class OpenEpisode:
    """Rows of an unfinished episode, in arrays that grow by doubling.

    Rows are copied in, so that an environment may reuse its arrays.
    """

    def __init__(self, spaces, number):
        """Creates an episode without rows.

        Args:
          spaces: Dict of key to `Space`.
          number: Negative number that tells it from the others.
        """
        self.number = number
        self._spaces = spaces
        self._rows = 0
        self._arrays = {
            key: np.empty((_FIRST_ROWS, *space.shape), space.dtype) for key, space in spaces.items()
        }

    def __len__(self):
        return self._rows

    def append(self, row):
        """Adds one row.

        Args:
          row: Dict of key to array, scalar for scalar spaces.

        Raises:
          TypeError: If a dtype is wrong.
          ValueError: If a key is missing or unexpected, a shape is wrong, or ``is_first`` is not
            on the first row alone.
        """
        values = self._checked(row)
        if self._rows == len(self._arrays["is_first"]):
            self._arrays = {
                key: np.concatenate([array, np.empty_like(array)])
                for key, array in self._arrays.items()
            }
        for key, value in values.items():
            self._arrays[key][self._rows] = value
        self._rows += 1

    def end(self):
        """Marks the last row as ``is_last``; ``is_terminal`` stays as it is."""
        self._arrays["is_last"][self._rows - 1] = True

    def overwrite(self, start, arrays):
        """Replaces values of some keys from a row on; what would lie beyond the end is left out.

        Args:
          start: First row.
          arrays: Dict of key to array ``[n, ...]``.
        """
        for key, array in arrays.items():
            rows = self._arrays[key][start : self._rows]
            rows[: len(array)] = array[: len(rows)]

    def arrays(self):
        """Returns the rows as a dict of key to array ``[rows, ...]``."""
        return {key: array[: self._rows] for key, array in self._arrays.items()}

    def _checked(self, row):
        if row.keys() != self._spaces.keys():
            missing = ", ".join(map(repr, sorted(self._spaces.keys() - row.keys()))) or "none"
            unexpected = ", ".join(map(repr, sorted(row.keys() - self._spaces.keys()))) or "none"
            raise ValueError(f"row for the replay: keys missing {missing}, unexpected {unexpected}")
        values = {key: np.asarray(value) for key, value in row.items()}
        for key, value in values.items():
            space = self._spaces[key]
            if value.dtype != space.dtype or value.shape != space.shape:
                space.check(key, value)
        if bool(values["is_first"]) != (self._rows == 0):
            raise ValueError(
                f"'is_first' is {bool(values['is_first'])} in row {self._rows} of an episode; "
                f"expected on row 0 and only there"
            )
        return values
