"""The names of the files in a replay folder, and what a start finds there."""

import logging
import os
import re
from typing import NamedTuple

from dreamer_tf.common.files import TEMPORARY

_LOGGER = logging.getLogger(__name__)

_EPISODE = re.compile(r"(\d{9,})-(\d{5,})-(\d{12,})(?:\.npz|\.context\.npy)")
DAMAGED = ".damaged"
CARRY = ".context.npy"
"""Ending of the file of what the agent carried; older run folders have it too."""


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
        """Name of the file beside it that holds what the agent carried, see `carry_file`."""
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
    """
    episodes, names, carries = [], [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(TEMPORARY):
                if EpisodeName.parse(entry.name.removesuffix(TEMPORARY)):
                    os.unlink(entry.path)
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
    # A carry is written before its episode and deleted after it.
    stored = {name for name, _ in episodes}
    for name, path in carries:
        if name not in stored:
            os.unlink(path)
    return Contents(sorted(episodes), max(names, default=None))


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
