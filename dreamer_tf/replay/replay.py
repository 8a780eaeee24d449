"""The replay: episodes on disk, sampled as sequences, with flat memory.

A batch is a pure function of the seed, the number of batches drawn before, the sampler's state,
and the episodes at hand. A run that continues from a checkpoint therefore draws what it would have
drawn. Finished episodes are in the `store`; those that are still being played are an `OpenEpisode`
each.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dreamer_tf.replay.carry_file import record_dtype, to_records
from dreamer_tf.replay.samplers import Catalogue, Sampler, Sequence, UniformWindows
from dreamer_tf.replay.store import EpisodeStore
from dreamer_tf.specs import LOG_PREFIX, Row, Space

_FIRST_ROWS = 256


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


class Replay:
    """Stores episodes, one file each, and samples sequences of their rows.

    One process writes to a folder at a time. Adding and sampling may happen in different threads.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        spaces: Mapping[str, Space],
        *,
        capacity: int,
        seed: int,
        sampler: Sampler | None = None,
        carry: Mapping[str, Space] | None = None,
        ongoing: bool = False,
    ) -> None:
        """Opens a replay folder, or creates it, see `EpisodeStore`.

        Args:
          directory: Path of the folder.
          spaces: Dict of key to `Space`: what each row holds, see `specs.row_spaces`.
          capacity: Rows to keep; above it the oldest episodes are deleted, by `evict` or when an
            episode is stored. 0 keeps all.
          seed: Non-negative integer; decides what is sampled.
          sampler: `Sampler`: which sequences are drawn; None: `UniformWindows`.
          carry: Dict of key to `Space`: what each row holds of what the agent carried into it;
            None: nothing.
          ongoing: Whether episodes that are still being played are sampled, too.

        Raises:
          WrongSpacesError: If the folder holds episodes of another task.
        """
        self._directory = directory
        self._spaces = dict(spaces)
        self._carry_space = dict(carry or {})
        shared = self._spaces.keys() & self._carry_space.keys()
        if shared:
            raise ValueError(f"{sorted(shared)} are keys of rows and of the carry; rename them")
        self._record = record_dtype(self._carry_space)
        self._store = EpisodeStore(directory, spaces, self._carry_space, capacity)
        self._seed = seed
        self._sampler = UniformWindows() if sampler is None else sampler
        self._ongoing = ongoing
        self._batches = 0
        self._begun = 0
        self._streams: dict[int, OpenEpisode] = {}
        self._finished: list[OpenEpisode] = []
        self._lock = threading.RLock()

    @property
    def carry_space(self) -> dict[str, Space]:
        """Dict of key to `Space`: what rows hold of what the agent carried into them."""
        return dict(self._carry_space)

    @property
    def agent_steps(self) -> int:
        """Interactions ever stored, deleted episodes included. Never goes back."""
        return self._store.agent_steps

    @property
    def rows(self) -> int:
        """Rows of the stored episodes."""
        return int(self._store.index.rows.sum())

    @property
    def episodes(self) -> int:
        """Stored episodes."""
        return len(self._store.index)

    @property
    def nbytes(self) -> int:
        """Bytes on disk of the stored episodes."""
        return self._store.nbytes

    # ------------------------------------------------------------------ adding

    def add(self, row: Row, stream: int) -> None:
        """Adds a row to the episode that a stream is playing; the last row stores the episode.

        Args:
          row: Dict of key to array, see ``specs``, with the entries of the carry. It is copied;
            what is only for the log is left out.
          stream: Number of the environment that the row comes from.

        Raises:
          TypeError: If a dtype is wrong.
          ValueError: If a key is missing or unexpected, a shape is wrong, or ``is_first`` is not
            on the first row alone.
          OSError: If the episode could not be stored (a full disk, say). It is kept in memory
            and stored with the next one, or by `flush`.
        """
        with self._lock:
            if stream not in self._streams:
                self._begun += 1
                spaces = self._spaces | self._carry_space
                self._streams[stream] = OpenEpisode(spaces, -self._begun)
            kept = {k: value for k, value in row.items() if not k.startswith(LOG_PREFIX)}
            self._streams[stream].append(kept)
            if row["is_last"]:
                self._finished.append(self._streams.pop(stream))
                self.flush()

    def cut(self) -> None:
        """Stores the unfinished episodes, their last row marked ``is_last`` but not terminal.

        An episode of a single row holds no interaction and is left out. All streams begin anew.

        Raises:
          OSError: If an episode could not be stored, see `add`.
        """
        with self._lock:
            for stream in sorted(self._streams):
                episode = self._streams.pop(stream)
                if len(episode) > 1:
                    episode.end()
                    self._finished.append(episode)
            self.flush()

    def flush(self) -> None:
        """Stores the finished episodes that could not be stored before.

        Raises:
          OSError: If that fails again, see `add`.
        """
        with self._lock:
            while self._finished:
                episode = self._finished[0]
                serial = self._store.add(episode.arrays())
                self._finished.pop(0)
                self._sampler.stored(episode.number, serial)
                self._store.evict()

    def excess(self) -> tuple[int, int]:
        """What is above the capacity: how many episodes `evict` would delete, and their rows."""
        with self._lock:
            return self._store.excess()

    def evict(self) -> None:
        """Deletes the oldest episodes above the capacity; the newest stays, however long."""
        with self._lock:
            self._store.evict()

    # ---------------------------------------------------------------- sampling

    def can_sample(self, length: int, starts: int = 1) -> bool:
        """Whether there are so many rows that can begin a sequence of ``length`` rows."""
        with self._lock:
            if starts == 1:
                return bool(len(self._store.index) or self._catalogue().windows(length).any())
            return bool(self._catalogue().starts(length).sum() >= starts)

    def sample(self, batch_size: int, length: int) -> Batch:
        """Draws the next batch.

        Rows of a sequence follow each other in one episode. Where that ends it is followed by
        another, whose first row is marked by ``is_first``.

        Args:
          batch_size: Number of sequences (B).
          length: Rows of each sequence (T).

        Returns:
          A `Batch` of new arrays.

        Raises:
          RuntimeError: If there is nothing to draw from, see `can_sample`.
          WrongSpacesError: If an episode of another task is met.
        """
        if batch_size < 1 or length < 1:
            raise ValueError(
                f"expected at least one sequence of one row, got {batch_size} x {length}"
            )
        with self._lock:
            before = self._sampler.state()
            batch = self._try_sample(batch_size, length)
            while batch is None:
                self._sampler.restore(before)
                batch = self._try_sample(batch_size, length)
            self._batches += 1
        return batch

    def state(self) -> dict[str, Any]:
        """Returns what `sample` depends on besides the folder and the seed: a JSON-able dict."""
        with self._lock:
            return {"batches": self._batches, "begun": self._begun, **self._sampler.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues to sample from a state.

        Args:
          state: What `state` returned, also with another sampler.
        """
        with self._lock:
            self._batches = int(state["batches"])
            # A number that the sampler may still remember is not given to another episode.
            self._begun = max(self._begun, int(state.get("begun", 0)))
            self._sampler.restore(state)

    def _catalogue(self):
        running = list(self._streams.values()) if self._ongoing else []
        running.sort(key=lambda episode: -episode.number)
        numbers = np.array([episode.number for episode in running], np.int64)
        rows = np.array([len(episode) for episode in running], np.int64)
        index = self._store.index
        episodes = np.concatenate([index.serials, numbers])
        return Catalogue(episodes, np.concatenate([index.rows, rows]), len(running))

    def _try_sample(self, batch_size, length):
        """Samples a batch; None if a damaged episode was drawn, which is set aside then."""
        catalogue = self._catalogue()
        if not catalogue.windows(length).any():
            playing = sum(map(len, self._streams.values()))
            raise RuntimeError(
                f"replay {self._directory} holds no finished episode to sample from "
                f"({playing} rows of unfinished ones)"
            )
        # The counter's highest word: batches never share random numbers.
        bits = np.random.Philox(key=self._seed, counter=[0, 0, 0, self._batches])
        rng = np.random.Generator(bits)
        sequences = self._sampler.draw(rng, catalogue, batch_size, length)
        rows = {
            key: np.empty((batch_size, length, *space.shape), space.dtype)
            for key, space in self._spaces.items()
        }
        for place, piece in _places(sequences):
            running = self._running(piece.episode)
            arrays = self._store.open(piece.episode) if running is None else running.arrays()
            if arrays is None:
                return None
            for key, array in rows.items():
                array[place] = arrays[key][piece.start : piece.start + piece.rows]
        return Batch(rows, sequences)

    def _running(self, number):
        """The episode of that number that is still being played; None if there is none."""
        found = [episode for episode in self._streams.values() if episode.number == number]
        return found[0] if found else None

    # ------------------------------------------------------------------- carry

    def carry(self, batch: Batch) -> dict[str, np.ndarray]:
        """What the agent carried into the first row of each sequence, as it is stored by now.

        Args:
          batch: `Batch`.

        Returns:
          Dict of key to array ``[B, ...]``; zeros where an episode begins, or is no longer there.
          Empty if no carry is kept.
        """
        if not self._carry_space:
            return {}
        records = np.zeros(len(batch.sequences), self._record)
        with self._lock:
            for index, sequence in enumerate(batch.sequences):
                episode, row, _ = sequence.pieces[0]
                running, file = self._running(episode), self._store.carry(episode)
                if running is not None:
                    rows = {key: array[row : row + 1] for key, array in running.arrays().items()}
                    records[index] = to_records(rows, self._record)[0]
                elif file is not None:
                    records[index] = file.read(row)
        return {key: records[key].copy() for key in self._record.names}

    def update(self, batch: Batch, carry: Mapping[str, np.ndarray]) -> None:
        """Stores what the agent carries by now out of each row of a batch, for the row after it.

        A replay that keeps no carry does nothing.

        Args:
          batch: `Batch`. Episodes that were deleted since it was drawn are passed over.
          carry: Dict of key to array ``[B, T, ...]``.

        Raises:
          OSError: If it could not be stored.
        """
        if not self._carry_space:
            return
        with self._lock:
            for place, piece in _places(batch.sequences):
                arrays = {key: carry[key][place] for key in self._record.names}
                running = self._running(piece.episode)
                file = self._store.carry(piece.episode)
                if running is not None:
                    running.overwrite(piece.start + 1, arrays)
                elif file is not None:
                    file.write(piece.start + 1, to_records(arrays, self._record))


def _places(sequences):
    """Yields where each piece stands in ``[B, T]``, and the piece."""
    for index, sequence in enumerate(sequences):
        offset = 0
        for piece in sequence.pieces:
            yield (index, slice(offset, offset + piece.rows)), piece
            offset += piece.rows


# ---- Episodes that are still being played, one for each environment.


class OpenEpisode:
    """Rows of an unfinished episode, in arrays that grow by doubling.

    Rows are copied in, so that an environment may reuse its arrays.
    """

    def __init__(self, spaces: Mapping[str, Space], number: int) -> None:
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

    def __len__(self) -> int:
        return self._rows

    def append(self, row: Row) -> None:
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

    def end(self) -> None:
        """Marks the last row as ``is_last``; ``is_terminal`` stays as it is."""
        self._arrays["is_last"][self._rows - 1] = True

    def overwrite(self, start: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Replaces values of some keys from a row on; what would lie beyond the end is left out.

        Args:
          start: First row.
          arrays: Dict of key to array ``[n, ...]``.
        """
        for key, array in arrays.items():
            rows = self._arrays[key][start : self._rows]
            rows[: len(array)] = array[: len(rows)]

    def arrays(self) -> dict[str, np.ndarray]:
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
