"""The replay: episodes on disk, sampled as sequences, with flat memory.

A batch is a pure function of the seed, the number of batches drawn before, the sampler's state,
and the episodes at hand. A run that continues from a checkpoint therefore draws what it would have
drawn. Finished episodes are in the `store`; those that are still being played are an `OpenEpisode`
each, which a run that continues takes up again.
"""

import logging
import os
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from dreamer_tf.replay.episode_file import DamagedEpisodeError
from dreamer_tf.replay.ongoing import OpenEpisode, PieceFolder
from dreamer_tf.replay.samplers import Batch, Sampler, UniformWindows, places
from dreamer_tf.replay.store import EpisodeStore
from dreamer_tf.replay.whereabouts import Whereabouts
from dreamer_tf.specs import LOG_PREFIX, Row, Space

ONGOING = "ongoing"
"""Folder of the episodes that are still being played, within that of the replay."""
_LOGGER = logging.getLogger(__name__)


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
            episode is stored. What is being played does not count. 0 keeps all.
          seed: Non-negative integer; decides what is sampled.
          sampler: `Sampler`: which sequences are drawn; None: `UniformWindows`.
          carry: Dict of key to `Space`: what each row holds of what the agent carried into it;
            None: nothing.
          ongoing: Whether episodes that are still being played are sampled, too.

        Raises:
          WrongSpacesError: If the folder holds episodes of another task, or of two runs.
        """
        self._directory = pathlib.Path(directory)
        self._spaces = dict(spaces)
        self._carry_space = dict(carry or {})
        shared = self._spaces.keys() & self._carry_space.keys()
        if shared:
            raise ValueError(f"{sorted(shared)} are keys of rows and of the carry; rename them")
        self._store = EpisodeStore(directory, spaces, self._carry_space, capacity)
        self._pieces = PieceFolder(self._directory / ONGOING, spaces, self._carry_space)
        self._left = self._pieces.left()
        self._seed = seed
        self._sampler = UniformWindows() if sampler is None else sampler
        if len(self._store.index):  # Nothing of it is fresh, unless `restore` says so.
            self._sampler.restore({})
        self._ongoing = ongoing
        self._batches = 0
        self._begun = max(self._left, default=0)
        self._streams: dict[int, OpenEpisode] = {}
        self._finished: list[OpenEpisode] = []
        self._obsolete: list[OpenEpisode] = []  # What is stored of them is to be removed.
        self._lost: set[int] = set()  # Streams whose episode is not kept: a piece was damaged.
        self._whereabouts = Whereabouts(self._store, self._streams, self._carry_space)
        self._lock = threading.RLock()

    @property
    def spaces(self) -> dict[str, Space]:
        """Dict of key to `Space`: what rows hold."""
        return dict(self._spaces)

    @property
    def carry_space(self) -> dict[str, Space]:
        """Dict of key to `Space`: what rows hold of what the agent carried into them."""
        return dict(self._carry_space)

    @property
    def agent_steps(self) -> int:
        """Interactions ever stored, deleted episodes included. Never goes back."""
        return self._store.agent_steps

    @property
    def stored(self) -> int:
        """Episodes ever stored, deleted ones included. Never goes back."""
        return self._store.serial

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

    def ongoing_size(self) -> dict[str, int]:
        """Rows and bytes of what is being played, by the names of their metrics."""
        with self._lock:
            playing = list(self._streams.values())
            return {
                "replay/ongoing_rows": sum(map(len, playing)),
                "replay/ongoing_bytes": sum(episode.nbytes for episode in playing),
            }

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
          OSError: If the episode, or a piece of a long one, could not be stored (a full disk,
            say). It is kept in memory and stored with the next one, or by `flush`.
        """
        with self._lock:
            if stream in self._lost and not row["is_first"]:
                return
            self._lost.discard(stream)
            if stream not in self._streams:
                self._begun += 1
                self._streams[stream] = OpenEpisode(self._pieces, -self._begun)
            kept = {k: value for k, value in row.items() if not k.startswith(LOG_PREFIX)}
            self._streams[stream].append(kept)
            if row["is_last"]:
                self._finished.append(self._streams.pop(stream))
                self.flush()
            else:
                self._streams[stream].spill()

    def cut(self, stream: int | None = None) -> None:
        """Stores the unfinished episodes, their last row marked ``is_last`` but not terminal.

        An episode of a single row holds no interaction and is left out.

        Args:
          stream: Whose; None: those of all streams.

        Raises:
          OSError: If an episode could not be stored, see `add`.
        """
        with self._lock:
            for ended in sorted(self._streams) if stream is None else [stream]:
                self._end(self._streams.pop(ended))
            self.flush()

    def flush(self) -> None:
        """Stores what is due and could not be stored before: episodes, and pieces of long ones.

        Raises:
          OSError: If that fails again, see `add`, or pieces of one that is stored stay.
        """
        with self._lock:
            self._remove_obsolete()
            while self._finished:
                self._store_finished()
                # Before another one: after a kill, only the newest may have left pieces.
                self._remove_obsolete()
            for episode in self._streams.values():
                episode.spill()

    def _store_finished(self):
        """Stores the episode that ended first."""
        episode = self._finished[0]
        try:
            serial = self._store.add(episode.parts(), episode.carry())
        except DamagedEpisodeError as error:
            self._finished.pop(0)
            self._shorten(episode, error)
            return
        self._obsolete.append(self._finished.pop(0))
        self._sampler.stored(episode.number, serial)
        self._whereabouts.ended(episode.number, serial)
        self._store.evict()

    def _remove_obsolete(self):
        while self._obsolete:
            self._obsolete[0].remove()
            self._obsolete.pop(0)

    def _end(self, episode):
        """Ends an episode where it is."""
        if len(episode) > 1:
            episode.end()
            self._finished.append(episode)
        else:
            self._obsolete.append(episode)

    def _shorten(self, episode, error):
        """Ends an episode before its damaged piece."""
        rows = len(episode)
        episode.shorten(rows)
        _LOGGER.warning(
            "of an unfinished episode %d of %d rows are left: %s", len(episode), rows, error
        )
        self._end(episode)

    # -------------------------------------------------------------- continuing

    def store_ongoing(self) -> None:
        """Stores the unfinished episodes as they are, for `resume`.

        Raises:
          OSError: If that fails, see `add`.
        """
        with self._lock:
            self.flush()
            for episode in self._streams.values():
                episode.save()

    def ongoing(self) -> dict[int, tuple[int, int]]:
        """Dict of stream to number and rows of its unfinished episode."""
        with self._lock:
            items = sorted(self._streams.items())
            return {stream: (-episode.number, len(episode)) for stream, episode in items}

    def resume(self, stream: int, number: int, rows: int) -> OpenEpisode | None:
        """Goes on with an episode that an earlier run stored unfinished.

        Args:
          stream: Number of the environment that plays it.
          number: As in `ongoing`.
          rows: Likewise. Later ones that are stored are forgotten.

        Returns:
          The episode; None if these rows are not all there.
        """
        with self._lock:
            episode = OpenEpisode(self._pieces, -number, self._left.get(number, ()))
            episode.shorten(rows)
            if len(episode) < rows:
                return None
            self._left.pop(number)
            self._streams[stream] = episode
            return episode

    def forget_left(self, begun: int) -> None:
        """Deletes what an earlier run began after ``begun`` episodes: it will be played again."""
        with self._lock:
            for number in [number for number in self._left if number > begun]:
                OpenEpisode(self._pieces, -number, self._left.pop(number)).remove()
            self._begun = begun

    def cut_left(self) -> int:
        """Stores the unfinished episodes of an earlier run that nobody goes on with, cut off.

        One that was stored meanwhile, because the run was killed before it removed the pieces, is
        not stored again.

        Returns:
          Number of episodes stored.
        """
        with self._lock:
            before = self._store.serial
            newest = self._store.newest()
            for number, files in sorted(self._left.items()):
                episode = OpenEpisode(self._pieces, -number, files)
                episode.shorten(max(name.start + name.rows for name in files))
                if newest and episode.begins(newest):
                    self._obsolete.append(episode)
                else:
                    self._end(episode)
            self._left.clear()
            self.flush()
            return self._store.serial - before

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
        """Whether so many rows can begin a sequence of ``length`` rows; if it is full, any."""
        with self._lock:
            if starts == 1 or self._store.is_full:
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
          OSError: If one cannot be read at the moment; the next call draws the same.
        """
        if batch_size < 1 or length < 1:
            raise ValueError(
                f"expected at least one sequence of one row, got {batch_size} x {length}"
            )
        with self._lock:
            before = self._sampler.state()
            batch: Batch | None = None
            while batch is None:
                try:
                    batch = self._try_sample(batch_size, length)
                except OSError:  # A file that is open may stay stale; opened anew it may not.
                    self._store.close_files()
                    self._pieces.close_files()
                    raise
                finally:
                    if batch is None:
                        self._sampler.restore(before)
            self._batches += 1
        return batch

    def state(self) -> dict[str, Any]:
        """Returns what `sample` depends on besides the folder and the seed: a JSON-able dict."""
        with self._lock:
            return {"batches": self._batches, "begun": self._begun, **self._sampler.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues to sample from a state.

        Episodes that ended since stay known. No batch drawn before may still be in use.

        Args:
          state: What `state` returned, also with another sampler.
        """
        with self._lock:
            self._batches = int(state["batches"])
            # A number that the sampler may still remember is not given to another episode.
            self._begun = max(self._begun, int(state.get("begun", 0)))
            self._sampler.restore(state)
            self._whereabouts.tell_again(self._sampler)

    def _catalogue(self):
        return self._whereabouts.catalogue(self._ongoing)

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
        for place, piece in places(sequences):
            if not self._read(piece, place, rows):
                return None
        return Batch(rows, sequences)

    def _read(self, piece, place, rows):
        """Copies a piece to its place; returns whether its episode is whole."""
        try:
            return self._whereabouts.read(piece, place, rows)
        except DamagedEpisodeError as error:
            running = self._whereabouts.running(piece.episode)
            if running is None:
                self._store.lose(piece.episode, error)
            else:
                [stream] = [s for s, episode in self._streams.items() if episode is running]
                self._shorten(self._streams.pop(stream), error)
                self._lost.add(stream)
                self.flush()
            return False

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
        with self._lock:
            records = self._whereabouts.read_carry(batch.sequences)
        return {key: records[key].copy() for key in self._carry_space}

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
            self._whereabouts.write_carry(batch.sequences, carry)
