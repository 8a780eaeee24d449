"""What can be drawn at one moment, a `Catalogue`, and which sequences of it make a batch.

A sampler is a pure function of a random generator, of the episodes at hand, and of a state that
JSON can hold: a run that continues draws what it would have drawn. `UniformWindows`,
`UniformStarts` and `EpisodeEnds` have no state; `FreshFirst` and `Consecutive` are put around one
of them.
"""

import abc
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

MOST_EPISODES = 1000
"""Episodes that wait in a `FreshFirst`, the newest."""


class Catalogue(NamedTuple):
    """The episodes at hand, oldest first, those that are still being played at the end.

    Attributes:
      episodes: ``[n]`` int64: the serial of a stored episode, a negative number for a running one.
      rows: ``[n]`` int64.
      running: How many of them are still being played.
    """

    episodes: np.ndarray
    rows: np.ndarray
    running: int

    @property
    def whole(self) -> int:
        """Number of episodes that have ended; they come first."""
        return len(self.episodes) - self.running

    def windows(self, length: int) -> np.ndarray:
        """Number of sequences of ``length`` rows that each episode can begin, ``[n]``.

        An episode that has ended has one for each window inside of it, the one with its last row
        included, and at least one: a shorter one is continued by another. In a running episode a
        sequence ends before what is not known yet.
        """
        inside = self.rows - length + 1
        inside[: self.whole] = np.maximum(inside[: self.whole], 1)
        return np.maximum(inside, 0)

    def starts(self, length: int) -> np.ndarray:
        """Number of rows of each episode that can begin a sequence of ``length`` rows, ``[n]``.

        Every row of an episode that has ended can: what its rest leaves is continued by another.
        """
        inside = self.windows(length)
        inside[: self.whole] = self.rows[: self.whole]
        return inside

    def find(self, episode: int) -> int | None:
        """Position of an episode; None if it is not at hand."""
        whole = self.whole
        position = int(np.searchsorted(self.episodes[:whole], episode))
        if position < whole and self.episodes[position] == episode:
            return position
        running = np.flatnonzero(self.episodes[whole:] == episode)
        return whole + int(running[0]) if len(running) else None


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


class Batch(NamedTuple):
    """What `Replay.sample` draws.

    Attributes:
      rows: Dict of key to array ``[B, T, ...]``.
      sequences: Where the rows come from, a `Sequence` for each of the B.
    """

    rows: dict[str, np.ndarray]
    sequences: list[Sequence]

    @property
    def continues(self) -> np.ndarray:
        """Which sequences go on where they ended in the last batch, ``[B]`` bool."""
        return np.array([sequence.continues for sequence in self.sequences])

    def rows_before(self, earlier: "Batch") -> np.ndarray:
        """Where in an earlier batch the row before each sequence's first one is.

        Args:
          earlier: `Batch` of B' sequences of T rows.

        Returns:
          ``[B]`` int array that counts through the rows ``[B' T]``; the last place if there are
          several, -1 if there is none.
        """
        length = earlier.rows["is_first"].shape[1]
        pieces: dict[int, list[tuple[int, Piece]]] = {}
        for (index, place), piece in places(earlier.sequences):
            pieces.setdefault(piece.episode, []).append((index * length + place.start, piece))
        found = np.full(len(self.sequences), -1)
        for index, sequence in enumerate(self.sequences):
            episode, row, _ = sequence.pieces[0]
            for first, piece in pieces.get(episode, []):
                if piece.start < row <= piece.start + piece.rows:
                    found[index] = first + row - 1 - piece.start
        return found


def places(sequences: Iterable[Sequence]) -> Iterator[tuple[tuple[int, slice], Piece]]:
    """Yields where each piece stands in ``[B, T]``, and the piece."""
    for index, sequence in enumerate(sequences):
        offset = 0
        for piece in sequence.pieces:
            yield (index, slice(offset, offset + piece.rows)), piece
            offset += piece.rows


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

        It may be told twice, as it goes back to a state from before.

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


# ---- Around another sampler.


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
        if serial > self._newest:
            self._waiting.setdefault(running, 0)
            numbers = {running: serial}
            self._waiting = {numbers.get(key, key): row for key, row in self._waiting.items()}
            self._newest = serial
        self._sampler.stored(running, serial)

    def state(self) -> dict[str, Any]:
        """The queue, and what the other sampler's draws depend on."""
        if self._pass_over:  # It is yet to begin.
            return self._sampler.state()
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


# ---- How sequences begin.


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
