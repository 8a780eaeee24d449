"""Which sequences make a batch.

A sampler is a pure function of a random generator, of the episodes at hand, and of a state that
JSON can hold: a run that continues draws what it would have drawn. `UniformWindows`,
`UniformStarts` and `EpisodeEnds` have no state; `FreshFirst` and `Consecutive` are put around one
of them.
"""

import abc
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dreamer_tf.replay.catalogue import Catalogue


class Piece(NamedTuple):
    """Consecutive rows of one episode.

    Attributes:
      episode: Serial of a stored episode, negative number of a running one.
      start: First row.
      rows: Number of rows, at least 1.
    """

    episode: int
    start: int
    rows: int


class Sequence(NamedTuple):
    """What one sequence of a batch is made of.

    Attributes:
      pieces: Tuple of `Piece`: rows of one episode, and where that ends, of others from their first
        row on.
      continues: Whether it goes on where this sequence of the last batch ended.
    """

    pieces: tuple[Piece, ...]
    continues: bool = False


class Sampler(abc.ABC):
    """Draws sequences."""

    @abc.abstractmethod
    def draw(
        self, rng: np.random.Generator, catalogue: Catalogue, count: int, length: int
    ) -> list[Sequence]:
        """Draws sequences for the next batch.

        Args:
          rng: A ``numpy.random.Generator``.
          catalogue: `Catalogue` with at least one window.
          count: How many.
          length: Rows of each.

        Returns:
          List of `Sequence`.
        """

    def stored(self, running: int, serial: int) -> None:  # noqa: B027 — without a state there is nothing to do
        """Learns that a running episode has ended and goes by another number now.

        Args:
          running: Its negative number.
          serial: Its serial.
        """

    def state(self) -> dict[str, Any]:
        """What the next draws depend on: a dict that JSON can hold."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027 — as above
        """Continues from a state.

        Args:
          state: What `state` returned, also with other entries, or without those of this sampler
            if the run was begun with another one.
        """


class UniformWindows(Sampler):
    """All windows of all episodes are equally likely.

    Windows lie inside an episode, so rows near its ends are in fewer of them.
    """

    def draw(
        self, rng: np.random.Generator, catalogue: Catalogue, count: int, length: int
    ) -> list[Sequence]:
        """Draws sequences, see `Sampler.draw`."""
        positions, rows = _choose(rng, catalogue.windows(length), count)
        return begin(rng, catalogue, positions, rows, length)


class UniformStarts(Sampler):
    """All rows of all episodes are equally likely to begin a sequence.

    One that begins near the end of its episode goes on with another episode, which makes every row
    equally likely to be trained on.

    Reference: DreamerV3, arXiv:2301.04104.
    """

    def draw(
        self, rng: np.random.Generator, catalogue: Catalogue, count: int, length: int
    ) -> list[Sequence]:
        """Draws sequences, see `Sampler.draw`."""
        positions, rows = _choose(rng, catalogue.starts(length), count)
        return begin(rng, catalogue, positions, rows, length)


class EpisodeEnds(Sampler):
    """All episodes are equally likely, and in each its last window is preferred.

    It counts ``length`` times more than the others: as if windows might begin that far beyond it
    and were moved back inside.

    Reference: DreamerV2, arXiv:2010.02193, whose code calls it prioritised ends.
    """

    def draw(
        self, rng: np.random.Generator, catalogue: Catalogue, count: int, length: int
    ) -> list[Sequence]:
        """Draws sequences, see `Sampler.draw`."""
        windows = catalogue.windows(length)
        candidates = np.flatnonzero(windows)
        positions = candidates[rng.integers(len(candidates), size=count)]
        rows = np.minimum(rng.integers(windows[positions] + length), windows[positions] - 1)
        return begin(rng, catalogue, positions, rows, length)


def begin(
    rng: np.random.Generator,
    catalogue: Catalogue,
    positions: Iterable[int],
    rows: Iterable[int],
    length: int,
) -> list[Sequence]:
    """Sequences from their first rows; an episode's end is followed by another episode's beginning.

    Which one follows is drawn uniformly; ``is_first`` marks where it begins.

    Args:
      rng: A ``numpy.random.Generator``.
      catalogue: `Catalogue`.
      positions: ``[n]`` positions of the episodes that the sequences begin in.
      rows: ``[n]`` first row of each, at most the number of rows of the episode.
      length: Rows of each.

    Returns:
      List of `Sequence`.
    """
    sequences = []
    for position, row in zip(positions, rows, strict=True):
        pieces, left = [], length
        while left:
            taken = min(int(catalogue.rows[position]) - int(row), left)
            if taken:
                pieces.append(Piece(int(catalogue.episodes[position]), int(row), taken))
            left -= taken
            if left:
                position, row = int(rng.integers(catalogue.whole)), 0
        sequences.append(Sequence(tuple(pieces)))
    return sequences


def _choose(rng, counts, size):
    """Draws uniformly from all items of all episodes: positions and items within, ``[size]``."""
    ends = np.cumsum(counts)
    items = rng.integers(ends[-1], size=size)
    positions = np.searchsorted(ends, items, side="right")
    return positions, items - (ends - counts)[positions]
