"""The finished episodes: their files, which of them there are, and which are open.

`EpisodeStore` keeps a folder of them. Its `EpisodeIndex` says which there are, read from the names
of the files alone, and `OpenFiles` holds those that are open at the moment.
"""

import collections
import itertools
import logging
import math
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from dreamer_tf.common.files import TEMPORARY
from dreamer_tf.replay import episode_file
from dreamer_tf.replay.episode_file import CarryFile, WrongSpacesError, record_dtype

OPEN_EPISODES = 256
"""Episodes that are open at once: one file descriptor each, of the usual limit of 1024."""
DAMAGED = ".damaged"
CARRY = ".context.npy"
"""Ending of the file of what the agent carried; older run folders have it too."""
_EPISODE = re.compile(rf"(\d{{9,}})-(\d{{5,}})-(\d{{12,}})(?:\.npz|{re.escape(CARRY)})")
_LOGGER = logging.getLogger(__name__)


class EpisodeStore:
    """Keeps episodes on disk, the newest ``capacity`` rows of them.

    Attributes:
      index: `EpisodeIndex` of the episodes.
      serial: Episodes ever stored, deleted ones included. Never goes back.
      agent_steps: Interactions ever stored, deleted episodes included. Never goes back.
    """

    def __init__(self, directory, spaces, carry, capacity):
        """Opens a folder, or creates it. Nothing is deleted for the capacity yet, see `evict`.

        Files that a killed writer left unfinished are removed, damaged ones set aside.

        Args:
          directory: Path of the folder.
          spaces: Dict of key to `Space`: what each row holds.
          carry: Dict of key to `Space`: what each row holds of an agent's carry; may be empty.
          capacity: Rows to keep; above it the oldest episodes are deleted. 0 keeps all.

        Raises:
          WrongSpacesError: If the folder holds episodes of another task, or of two runs.
        """
        if capacity < 0:
            raise ValueError(f"replay capacity: expected rows, or 0 to keep all; got {capacity}")
        self._directory = pathlib.Path(directory)
        self._spaces = dict(spaces)
        self._record = record_dtype(carry)
        self._capacity = capacity
        self._files = OpenFiles(self._open_file, OPEN_EPISODES)
        self._directory.mkdir(parents=True, exist_ok=True)
        contents = scan(self._directory)
        self.serial, _, self.agent_steps = contents.last or (0, 0, 0)
        self.index = EpisodeIndex(contents.episodes)
        self._check_files()

    @property
    def nbytes(self):
        """Bytes on disk."""
        return int(self.index.nbytes.sum() + self.index.rows.sum() * self._record.itemsize)

    def add(self, parts, carry=()):
        """Stores an episode.

        Args:
          parts: Dict of key to a list of arrays ``[n, ...]``, which follow each other.
          carry: Arrays of records of the agent's carry, which follow each other.

        Returns:
          Its serial.

        Raises:
          OSError: If it could not be stored (a full disk, say).
        """
        rows = sum(map(len, parts["is_first"]))
        steps = self.agent_steps + rows - 1
        name = EpisodeName(self.serial + 1, rows, steps)
        try:
            if self._record.names:
                self._carry_file(name).create(carry)
            size = episode_file.write_episode(self._directory / str(name), parts)
        except OSError as error:
            needed = sum(array.nbytes for arrays in parts.values() for array in arrays)
            raise OSError(
                error.errno,
                f"{error.strerror}: an episode of {rows} rows needs {needed:,} bytes in "
                f"the replay folder; it is kept in memory until it can be stored",
                str(self._directory),
            ) from error
        self.serial, self.agent_steps = name.serial, name.agent_steps
        self.index.append(name, size)
        return name.serial

    @property
    def is_full(self):
        """Whether it holds as much as it may: another episode would cost the oldest."""
        rows = self.index.rows
        return bool(self._capacity and len(rows) and rows.sum() + rows.max() > self._capacity)

    def open(self, serial):
        """Arrays of an episode that is there; None if it is damaged, which sets it aside."""
        position = self.index.find(serial)
        name = self.index[position]
        try:
            return self._files[name]
        except episode_file.DamagedEpisodeError as error:
            self.lose(serial, error)
            return None

    def newest(self):
        """Arrays of the newest episode; None if there is none, or it is damaged, as in `open`."""
        return self.open(int(self.index.serials[-1])) if len(self.index) else None

    def lose(self, serial, reason):
        """Sets an episode aside, in which something that is wrong was found."""
        position = self.index.find(serial)
        name = self.index[position]
        self._files.discard(name)
        set_aside(self._directory / str(name), reason)
        self.index.remove(position)

    def carry(self, serial):
        """`CarryFile` of an episode; None if the episode is not there."""
        position = self.index.find(serial)
        return None if position is None else self._carry_file(self.index[position])

    def close_files(self):
        """Closes the episodes; each is opened anew when it is needed."""
        self._files.clear()

    def excess(self):
        """What `evict` would delete: how many episodes, and their rows."""
        count = self.index.count_above(self._capacity) if self._capacity else 0
        return count, int(self.index.rows[:count].sum())

    def evict(self):
        """Deletes the oldest episodes above the capacity; the newest stays, however long."""
        if not self._capacity:
            return
        for name in self.index.drop_oldest(self._capacity):
            self._files.discard(name)
            (self._directory / str(name)).unlink(missing_ok=True)
            (self._directory / name.carry).unlink(missing_ok=True)

    def _open_file(self, name):
        return episode_file.open_episode(self._directory / str(name), self._spaces, name.rows)

    def _carry_file(self, name):
        return CarryFile(self._directory / name.carry, self._record, name.rows)

    def _check_files(self):
        """Opens the episodes whose files are too small, and the newest, which tells the task."""
        smallest = sum(
            space.dtype.itemsize * math.prod(space.shape) for space in self._spaces.values()
        )
        for serial in self.index.serials[self.index.nbytes < smallest * self.index.rows].tolist():
            self.open(serial)
        while len(self.index) and self.newest() is None:
            pass


# ---- Which episodes there are, and which are open.


class EpisodeIndex:
    """The table of stored episodes, oldest first: four numbers each, so that 100,000 stay small."""

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

    def count_above(self, capacity):
        """How many of the oldest episodes go until at most ``capacity`` rows are left.

        The newest episode stays, however long it is.
        """
        excess = int(self.rows.sum()) - capacity
        if excess <= 0:
            return 0
        return min(int(np.searchsorted(np.cumsum(self.rows), excess)) + 1, len(self) - 1)

    def drop_oldest(self, capacity):
        """Takes out the oldest episodes, see `count_above`.

        Returns:
          List of the names taken out, oldest first.
        """
        count = self.count_above(capacity)
        names = [self[position] for position in range(count)]
        self._table = self._table[count:].copy()
        return names


class OpenFiles:
    """Keeps the most recently used episodes open.

    Every one of them holds a file descriptor, so their number is bounded whatever the replay's
    size.
    """

    def __init__(self, open_file, limit):
        """Begins with none.

        Args:
          open_file: Function from an episode's name to its dict of `StoredArray`.
          limit: Largest number of episodes that are open at once.
        """
        self._open_file = open_file
        self._limit = limit
        self._files = collections.OrderedDict()

    def __len__(self):
        return len(self._files)

    def __getitem__(self, name):
        """Returns the arrays of an episode; opens it unless it is open."""
        arrays = self._files.get(name)
        if arrays is None:
            arrays = self._open_file(name)
            self._files[name] = arrays
            if len(self._files) > self._limit:
                self._files.popitem(last=False)
        else:
            self._files.move_to_end(name)
        return arrays

    def discard(self, name):
        """Closes an episode, if it is open, as soon as nobody holds its arrays."""
        self._files.pop(name, None)

    def clear(self):
        """Closes all episodes likewise."""
        self._files.clear()


# ---- The names of the files, and what a start finds.


class EpisodeName(NamedTuple):
    """What the name of an episode file says: ``000000012-01001-000000012000.npz``.

    Attributes:
      serial: Position in the order of storing, counted from 1 over the life of the folder.
      rows: Rows of the episode, one more than its interactions.
      agent_steps: Interactions ever stored in the folder, up to and with this episode.
    """

    serial: int
    rows: int
    agent_steps: int

    def __str__(self):
        return f"{self.serial:09d}-{self.rows:05d}-{self.agent_steps:012d}.npz"

    @property
    def carry(self):
        """Name of the file beside it that holds what the agent carried, see `CarryFile`."""
        return str(self).removesuffix(".npz") + CARRY

    @classmethod
    def parse(cls, filename):
        """Reads the name of an episode's file, or of its carry; None when it is neither."""
        match = _EPISODE.fullmatch(filename)
        return cls(*map(int, match.groups())) if match else None


class Contents(NamedTuple):
    """What a replay folder held when it was opened.

    Attributes:
      episodes: List of (name, bytes on disk) in the order of storing.
      last: The newest name ever given, also among the files set aside; None in a new folder.
    """

    episodes: list[tuple[EpisodeName, int]]
    last: EpisodeName | None


def scan(directory):
    """Lists the episodes and removes what a killed writer left unfinished.

    No episode is opened, so that a folder of many thousands is read in a moment.

    Args:
      directory: Path of the folder.

    Returns:
      The folder's `Contents`.

    Raises:
      WrongSpacesError: If two episodes have the same serial; nothing is removed then.
    """
    episodes, names, carries, left = [], [], [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(TEMPORARY):
                if EpisodeName.parse(entry.name.removesuffix(TEMPORARY)):
                    left.append(entry.path)
                continue
            name = EpisodeName.parse(entry.name.removesuffix(DAMAGED))
            if name is None:
                continue
            if entry.name.endswith(CARRY):
                carries.append((name, entry.path))
                continue
            names.append(name)
            if not entry.name.endswith(DAMAGED):
                episodes.append((name, entry.stat().st_size))
    episodes.sort()
    for (one, _), (other, _) in itertools.pairwise(episodes):
        if one.serial == other.serial:
            raise WrongSpacesError(
                f"{directory} holds episodes of two runs: {one} and {other} have the same number. "
                f"Take the files of one of them elsewhere."
            )
    # A carry is written before its episode and deleted after it.
    stored = {name for name, _ in episodes}
    for path in left + [path for name, path in carries if name not in stored]:
        os.unlink(path)
    return Contents(episodes, max(names, default=None))


def episode_files(directory):
    """Paths of the stored episodes with their `EpisodeName`, oldest first."""
    paths = {EpisodeName.parse(path.name): path for path in directory.glob("*.npz")}
    return sorted((name, path) for name, path in paths.items() if name)


def read_episodes(directory, spaces):
    """The stored episodes, only read: a trainer may be at work in the folder.

    Args:
      directory: Path of the folder.
      spaces: Dict of key to `Space`: what each row must hold.

    Yields:
      Dict of key to array ``[rows, ...]``, oldest episode first. Damaged ones are passed over, with
      a warning.

    Raises:
      WrongSpacesError: If an episode is of another task.
    """
    for name, path in episode_files(pathlib.Path(directory)):
        try:
            episode = episode_file.open_episode(path, spaces, name.rows)
            arrays = {key: stored[:] for key, stored in episode.items()}
        except episode_file.DamagedEpisodeError as error:
            _LOGGER.warning("damaged episode passed over: %s: %s", path, error)
        else:
            yield arrays


def set_aside(path, reason):
    """Renames a damaged file so that it is never read again, and says so in a warning.

    Args:
      path: Path of the file.
      reason: What was found, for the warning.
    """
    aside = path.with_name(path.name + DAMAGED)
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        _LOGGER.warning("Episode %s was removed by somebody else; going on without it", path)
    else:
        _LOGGER.warning("Damaged episode set aside as %s: %s", aside, reason)
