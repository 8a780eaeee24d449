"""The finished episodes: their files, and which of them there are."""

import math
import pathlib

from dreamer_tf.replay import episode_file, folder
from dreamer_tf.replay.carry_file import CarryFile, record_dtype, to_records
from dreamer_tf.replay.index import EpisodeIndex
from dreamer_tf.replay.open_maps import OpenMaps

OPEN_MAPS = 256
"""Episodes that are mapped at once: one file descriptor each, of the usual limit of 1024."""


class EpisodeStore:
    """Keeps episodes on disk, the newest ``capacity`` rows of them.

    Attributes:
      index: `EpisodeIndex` of the episodes.
      agent_steps: Interactions ever stored, deleted episodes included. Never goes back.
    """

    def __init__(self, directory, spaces, carry, capacity):
        """Opens a folder, or creates it.

        Files that a killed writer left unfinished are removed, damaged ones set aside.

        Args:
          directory: Path of the folder.
          spaces: Dict of key to `Space`: what each row holds.
          carry: Dict of key to `Space`: what each row holds of an agent's carry; may be empty.
          capacity: Rows to keep; above it the oldest episodes are deleted. 0 keeps all.

        Raises:
          WrongSpacesError: If the folder holds episodes of another task.
        """
        if capacity < 0:
            raise ValueError(f"replay capacity: expected rows, or 0 to keep all; got {capacity}")
        self._directory = pathlib.Path(directory)
        self._spaces = dict(spaces)
        self._record = record_dtype(carry)
        self._capacity = capacity
        self._maps = OpenMaps(self._open_map, OPEN_MAPS)
        self._directory.mkdir(parents=True, exist_ok=True)
        contents = folder.scan(self._directory)
        self._serial, _, self.agent_steps = contents.last or (0, 0, 0)
        self.index = EpisodeIndex(contents.episodes)
        self._check_files()
        self.evict()

    @property
    def nbytes(self):
        """Bytes on disk."""
        return int(self.index.nbytes.sum() + self.index.rows.sum() * self._record.itemsize)

    def add(self, arrays):
        """Stores an episode.

        Args:
          arrays: Dict of key to array ``[rows, ...]``, the carry's keys included.

        Returns:
          Its serial.

        Raises:
          OSError: If it could not be stored (a full disk, say).
        """
        rows = len(arrays["is_first"])
        steps = self.agent_steps + rows - 1
        name = folder.EpisodeName(self._serial + 1, rows, steps)
        try:
            if self._record.names:
                self._carry_file(name).create(to_records(arrays, self._record))
            kept = {key: arrays[key] for key in self._spaces}
            size = episode_file.write_episode(self._directory / str(name), kept)
        except OSError as error:
            needed = sum(array.nbytes for array in arrays.values())
            raise OSError(
                error.errno,
                f"{error.strerror}: an episode of {rows} rows needs {needed:,} bytes in "
                f"the replay folder; it is kept in memory until it can be stored",
                str(self._directory),
            ) from error
        self._serial, self.agent_steps = name.serial, name.agent_steps
        self.index.append(name, size)
        return name.serial

    def open(self, serial):
        """Arrays of an episode that is there; None if it is damaged, which sets it aside."""
        position = self.index.find(serial)
        name = self.index[position]
        try:
            return self._maps[name]
        except episode_file.DamagedEpisodeError as error:
            folder.set_aside(self._directory / str(name), error)
            self.index.remove(position)
            return None

    def carry(self, serial):
        """`CarryFile` of an episode; None if the episode is not there."""
        position = self.index.find(serial)
        return None if position is None else self._carry_file(self.index[position])

    def evict(self):
        """Deletes the oldest episodes above the capacity; the newest stays, however long."""
        if not self._capacity:
            return
        for name in self.index.drop_oldest(self._capacity):
            self._maps.discard(name)
            (self._directory / str(name)).unlink(missing_ok=True)
            (self._directory / name.carry).unlink(missing_ok=True)

    def _open_map(self, name):
        return episode_file.map_episode(self._directory / str(name), self._spaces, name.rows)

    def _carry_file(self, name):
        return CarryFile(self._directory / name.carry, self._record, name.rows)

    def _check_files(self):
        """Opens the episodes whose files are too small, and the newest, which tells the task."""
        smallest = sum(
            space.dtype.itemsize * math.prod(space.shape) for space in self._spaces.values()
        )
        for serial in self.index.serials[self.index.nbytes < smallest * self.index.rows].tolist():
            self.open(serial)
        while len(self.index) and self.open(int(self.index.serials[-1])) is None:
            pass
