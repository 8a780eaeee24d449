"""Where the episodes of a batch are: their rows, and what is stored of what the agent carried.

While it is played an episode has a negative number, and a serial as soon as it is stored. Another
thread may store it while the batch is in use.
"""

import numpy as np

from dreamer_tf.replay.episode_file import record_dtype, to_records
from dreamer_tf.replay.samplers import Catalogue, places

_MOST = 1000
"""Episodes that ended last whose number, while they were played, is remembered."""


class Whereabouts:
    """Finds episodes by the number that they had as a batch was drawn."""

    def __init__(self, store, streams, carry):
        """Takes the places where episodes are.

        Args:
          store: `EpisodeStore`.
          streams: Dict of stream to the `OpenEpisode` that it plays, as it is at any moment.
          carry: Dict of key to `Space`: what each row holds of an agent's carry; may be empty.
        """
        self._store = store
        self._streams = streams
        self._record = record_dtype(carry)
        self._ended = {}

    def catalogue(self, ongoing):
        """The `Catalogue` of what is there, with the running ones if ``ongoing``."""
        running = list(self._streams.values()) if ongoing else []
        running.sort(key=lambda episode: -episode.number)
        numbers = np.array([episode.number for episode in running], np.int64)
        rows = np.array([len(episode) for episode in running], np.int64)
        index = self._store.index
        episodes = np.concatenate([index.serials, numbers])
        return Catalogue(episodes, np.concatenate([index.rows, rows]), len(running))

    def running(self, number):
        """The episode of that number that is still being played; None if there is none."""
        found = [episode for episode in self._streams.values() if episode.number == number]
        return found[0] if found else None

    def ended(self, number, serial):
        """Notes by what serial an episode goes that has ended."""
        self._ended[number] = serial
        if len(self._ended) > _MOST:
            del self._ended[next(iter(self._ended))]

    def tell_again(self, sampler):
        """Tells a `Sampler` that went back to an earlier state what ended; then forgets it."""
        for number, serial in self._ended.items():
            sampler.stored(number, serial)
        self._ended.clear()

    def read(self, piece, place, rows):
        """Copies a `Piece` to its place in arrays ``[B, T, ...]``, by key.

        Returns:
          Whether it could: the file of a stored episode may be damaged, and is set aside then.

        Raises:
          DamagedEpisodeError: If the file of a running one is, or what is damaged is found later.
        """
        running = self.running(piece.episode)
        if running is not None:
            for key, array in rows.items():
                array[place] = running.read(key, piece.start, piece.start + piece.rows)
            return True
        arrays = self._store.open(piece.episode)
        for key, array in rows.items() if arrays else ():
            arrays[key].read(piece.start, array[place])
        return arrays is not None

    def read_carry(self, sequences):
        """What is carried into the first rows of sequences: records ``[B]``, see `Replay.carry`."""
        records = np.zeros(len(sequences), self._record)
        for index, sequence in enumerate(sequences):
            episode, row, _ = sequence.pieces[0]
            running, file = self._carry_of(episode)
            if running is not None:
                [[records[index]]] = running.carry(row, row + 1)
            elif file is not None:
                [records[index]] = file.read(row, row + 1)
        return records

    def write_carry(self, sequences, carry):
        """Stores what is carried out of each row for the row after it, see `Replay.update`."""
        for place, piece in places(sequences):
            arrays = {key: carry[key][place] for key in self._record.names}
            running, file = self._carry_of(piece.episode)
            if running is not None:
                running.overwrite(piece.start + 1, arrays)
            elif file is not None:
                file.write(piece.start + 1, to_records(arrays, self._record))

    def _carry_of(self, number):
        """The episode if it is still being played, and else the `CarryFile` of a stored one.

        Returns:
          A pair, with None for each that it is not.
        """
        running = self.running(number)
        if running is not None:
            return running, None
        return None, self._store.carry(self._ended.get(number, number))
