"""Sequences that run through several batches."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dreamer_tf.replay.catalogue import Catalogue
from dreamer_tf.replay.samplers import Sampler, Sequence, begin


class Consecutive(Sampler):
    """Sequence b of a batch goes on where sequence b of the last batch ended.

    After so many batches, or when its episode is no longer there, another sampler begins a new one
    in its place. A sequence that reaches its episode's end goes on with another episode's first
    row. For agents that carry something from batch to batch.
    """

    def __init__(self, sampler: Sampler, batches: int) -> None:
        """Describes the sampler.

        Args:
          sampler: `Sampler` of the first batch of each sequence.
          batches: Batches that a sequence runs through.
        """
        self._sampler = sampler
        self._batches = batches
        # For each sequence of the batch: episode and row to go on with, batches left.
        self._next: list[tuple[int, int, int]] = []

    def draw(
        self, rng: np.random.Generator, catalogue: Catalogue, count: int, length: int
    ) -> list[Sequence]:
        """Draws sequences, see `Sampler.draw`."""
        if len(self._next) != count:
            self._next = [(0, 0, 0)] * count
        positions = [self._position(catalogue, *place, length) for place in self._next]
        ended = [index for index, position in enumerate(positions) if position is None]
        new = dict(zip(ended, self._sampler.draw(rng, catalogue, len(ended), length), strict=True))
        sequences = []
        for index, (position, (_, row, left)) in enumerate(zip(positions, self._next, strict=True)):
            if position is None:
                sequence, left = new[index], self._batches
            else:
                [sequence] = begin(rng, catalogue, [position], [row], length)
                sequence = sequence._replace(continues=True)
            episode, start, rows = sequence.pieces[-1]
            self._next[index] = (episode, start + rows, left - 1)
            sequences.append(sequence)
        return sequences

    def stored(self, running: int, serial: int) -> None:
        """Follows an episode to its new number."""
        self._next = [
            (serial if episode == running else episode, row, left)
            for episode, row, left in self._next
        ]
        self._sampler.stored(running, serial)

    def state(self) -> dict[str, Any]:
        """Where the sequences go on, and what the other sampler's draws depend on."""
        return self._sampler.state() | {"consecutive": self._next.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a state."""
        self._next = [tuple(place) for place in state.get("consecutive", [])]
        self._sampler.restore(state)

    def _position(self, catalogue, episode, row, left, length):
        """Position of the episode that a sequence can go on with; None if it cannot."""
        position = catalogue.find(episode) if left else None
        if position is None:
            return None
        running = position >= catalogue.whole
        return None if running and row + length > catalogue.rows[position] else position
