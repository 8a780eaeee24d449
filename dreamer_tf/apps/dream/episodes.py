"""The recorded episodes of a run, only read: a trainer may be at work in the folder."""

import os
import pathlib

import numpy as np

from dreamer_tf.apps.dream.errors import DreamError, RequestError
from dreamer_tf.replay.episode_file import DamagedEpisodeError, WrongSpacesError, open_episode
from dreamer_tf.replay.store import EpisodeName
from dreamer_tf.specs import row_spaces

REPLAY = "replay"


class Episodes:
    """Lists and opens the episodes of a run's replay."""

    def __init__(self, run, obs_space, act_space):
        """Looks into the folder; no episode is opened.

        Args:
          run: Run folder.
          obs_space: Dict of observation key to `Space`.
          act_space: Dict of action key to `Space`.

        Raises:
          DreamError: If there is no episode.
        """
        self._folder = pathlib.Path(run) / REPLAY
        self._spaces = row_spaces(obs_space, act_space)
        if not self.names():
            raise DreamError(
                f"there is no episode in {self._folder}: a dream begins at a recorded moment. "
                "Train the run until its first episode has ended, or give one that kept its replay."
            )

    def names(self):
        """List of the `EpisodeName` that are there now, oldest first."""
        if not self._folder.is_dir():
            return []
        with os.scandir(self._folder) as entries:
            files = [entry.name for entry in entries if entry.name.endswith(".npz")]
        return sorted(name for name in map(EpisodeName.parse, files) if name)

    def open(self, serial):
        """Opens an episode.

        Args:
          serial: Its number.

        Returns:
          Dict of key to `StoredArray` ``[rows, ...]``.

        Raises:
          RequestError: If there is none, or it is damaged or of another task.
        """
        names = {name.serial: name for name in self.names()}
        if serial not in names:
            near = ", ".join(str(n) for n in sorted(names, key=lambda n: abs(n - serial))[:3])
            raise RequestError(
                f"there is no episode {serial}; expected one of the replay, such as {near or '–'}. "
                "A trainer deletes the oldest when the replay is full.",
                404,
            )
        name = names[serial]
        try:
            return open_episode(self._folder / str(name), self._spaces, name.rows)
        except DamagedEpisodeError as error:
            raise RequestError(f"the episode {name} is damaged: {error}", 422) from error
        except WrongSpacesError as error:
            raise RequestError(str(error), 422) from error

    def newest_whole(self):
        """The newest episode that can be read.

        Returns:
          Its number, and a list of messages about newer ones that cannot.

        Raises:
          DreamError: If none can.
        """
        problems = []
        for name in reversed(self.names()):
            try:
                self.open(name.serial)
                return name.serial, problems
            except RequestError as error:
                problems.append(str(error))
        shown = "; ".join(problems[:2])
        raise DreamError(f"none of the {len(problems)} episodes can be read: {shown}")


def returns_to_go(rewards, discount, *, counts_arrival):
    """What the rest of an episode brought, discounted: what values estimate.

    ::

        row            0     1     ...   n
        reward         r_0   r_1         r_n     for arriving
        to go, arrival R_t = r_t + γ R_{t+1},           R_n = r_n
        to go, else    R_t = r_{t+1} + γ R_{t+1},       R_n = 0

    Args:
      rewards: ``[rows]``.
      discount: γ of one step.
      counts_arrival: Whether a row's own reward counts.

    Returns:
      ``[rows]`` float64.
    """
    rewards = np.asarray(rewards, np.float64)
    if not counts_arrival:
        rewards = np.append(rewards[1:], 0.0)
    found, after = np.zeros_like(rewards), 0.0
    for row in reversed(range(len(rewards))):
        found[row] = after = rewards[row] + discount * after
    return found
