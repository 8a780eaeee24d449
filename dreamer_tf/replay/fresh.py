"""New experience first."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dreamer_tf.replay.catalogue import Catalogue
from dreamer_tf.replay.samplers import Sampler, Sequence, begin

MOST_EPISODES = 1000


class FreshFirst(Sampler):
    """Part of every batch are sequences that were never trained on, oldest first.

    Each new episode is cut into sequences that do not overlap, but for the last, which ends with
    the episode's last row. Each is handed out once; the rest of the batch comes from another
    sampler. So everything is trained on soon after it was experienced, however large the replay.

    Where an agent learns less than it plays, only the newest thousand episodes wait.

    Reference: DreamerV3, arXiv:2301.04104, whose code calls it an online queue.
    """

    def __init__(self, sampler: Sampler, share: float) -> None:
        """Describes the sampler.

        Args:
          sampler: `Sampler` for the rest of the batch.
          share: Largest part of the sequences drawn at once that may be fresh, in [0, 1].
        """
        self._sampler = sampler
        self._share = share
        # Episode -> its first row that was not handed out, in the order of their appearance.
        self._waiting: dict[int, int] = {}
        self._newest = 0
        self._pass_over = False

    def draw(
        self, rng: np.random.Generator, catalogue: Catalogue, count: int, length: int
    ) -> list[Sequence]:
        """Draws sequences, see `Sampler.draw`."""
        self._look(catalogue)
        starts = self._take(catalogue, math.floor(self._share * count), length)
        positions, rows = [start[0] for start in starts], [start[1] for start in starts]
        fresh = begin(rng, catalogue, positions, rows, length)
        return fresh + self._sampler.draw(rng, catalogue, count - len(fresh), length)

    def stored(self, running: int, serial: int) -> None:
        """Keeps an episode's place in the queue under its new number."""
        self._waiting.setdefault(running, 0)
        numbers = {running: serial}
        self._waiting = {numbers.get(key, key): row for key, row in self._waiting.items()}
        self._newest = max(self._newest, serial)
        self._sampler.stored(running, serial)

    def state(self) -> dict[str, Any]:
        """The queue, and what the other sampler's draws depend on."""
        fresh = {"newest": self._newest, "waiting": list(self._waiting.items())}
        return self._sampler.state() | {"fresh": fresh}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a state; a run that had no queue begins it with what comes from now on."""
        fresh = state.get("fresh", {"newest": 0, "waiting": []})
        self._newest, self._waiting = fresh["newest"], dict(map(tuple, fresh["waiting"]))
        self._pass_over = "fresh" not in state
        self._sampler.restore(state)

    def _look(self, catalogue):
        """Enters the episodes that came since the last look and forgets those that are gone."""
        for episode in catalogue.episodes[catalogue.episodes > self._newest].tolist():
            self._waiting.setdefault(episode, 0)
        for episode in catalogue.episodes[catalogue.whole :].tolist():
            self._waiting.setdefault(episode, 0)
        if catalogue.whole:
            self._newest = max(self._newest, int(catalogue.episodes[catalogue.whole - 1]))
        if self._pass_over:
            self._waiting.clear()
            self._pass_over = False
        gone = [episode for episode in self._waiting if catalogue.find(episode) is None]
        for episode in gone + list(self._waiting)[:-MOST_EPISODES]:
            self._waiting.pop(episode, None)

    def _take(self, catalogue, most, length):
        """Positions and first rows of at most so many sequences."""
        starts = []
        for episode, row in list(self._waiting.items()):
            position = catalogue.find(episode)
            rows, ended = int(catalogue.rows[position]), position < catalogue.whole
            while len(starts) < most and row < rows and (ended or row + length <= rows):
                starts.append((position, max(min(row, rows - length), 0)))
                row += length
            self._waiting[episode] = row
            if ended and row >= rows:
                del self._waiting[episode]
        return starts
