"""The episodes that are mapped at the moment, a bounded number."""

import collections


class OpenMaps:
    """Keeps the most recently used episodes open.

    Every open map holds a file descriptor, so their number is bounded whatever the replay's size.
    """

    def __init__(self, open_map, limit):
        """Creates an empty set of maps.

        Args:
          open_map: Function from an episode's name to its dict of mapped arrays.
          limit: Largest number of episodes that are open at once.
        """
        self._open_map = open_map
        self._limit = limit
        self._maps = collections.OrderedDict()

    def __len__(self):
        return len(self._maps)

    def __getitem__(self, name):
        """Returns the mapped arrays of an episode; opens it unless it is open."""
        arrays = self._maps.get(name)
        if arrays is None:
            arrays = self._open_map(name)
            self._maps[name] = arrays
            if len(self._maps) > self._limit:
                self._maps.popitem(last=False)
        else:
            self._maps.move_to_end(name)
        return arrays

    def discard(self, name):
        """Closes an episode, if it is open, as soon as nobody holds its arrays."""
        self._maps.pop(name, None)
