"""Episodes that are still being played: the newest rows in memory, the others on disk in pieces.

A piece is a file like that of an episode, with `PIECE_ROWS` rows. `OpenEpisode.save`, called at
every checkpoint, stores the rows in memory, too, as a shorter last piece, which the next one
replaces. So memory is bounded however long an episode is, and what a checkpoint counts is on disk::

    ongoing/000000017-000001024-00300.npz
            |         |         |
            |         |         rows
            |         first row
            number of the episode, in the order of their beginnings, from 1
"""

import contextlib
import os
import re
from typing import NamedTuple

import numpy as np

from dreamer_tf.common.files import TEMPORARY
from dreamer_tf.replay import episode_file
from dreamer_tf.replay.episode_file import CarryFile, DamagedEpisodeError, record_dtype, to_records
from dreamer_tf.replay.store import CARRY, OpenFiles, set_aside

PIECE_ROWS = 1024
"""Rows of every piece but the last; at most one more is in memory while the disk takes them."""
_OPEN_PIECES = 64
_FIRST_ROWS = 256
_PIECE = re.compile(rf"(\d{{9,}})-(\d{{9,}})-(\d{{5,}})(?:\.npz|{re.escape(CARRY)})")


class OpenEpisode:
    """Rows of an unfinished episode.

    Rows are copied in, so that an environment may reuse its arrays.

    Attributes:
      number: Negative number that tells it from the others.
    """

    def __init__(self, pieces, number, files=()):
        """Begins without rows; `shorten` takes up those of an earlier run.

        Args:
          pieces: `PieceFolder`.
          number: Negative number.
          files: The `PieceName` that are stored of it.
        """
        self.number = number
        self._pieces = pieces
        self._spaces = pieces.spaces | pieces.carry_spaces
        self._full = []  # Names of the pieces whose rows are not in memory.
        self._rest = sorted(files)  # Names of what is stored of rows in memory, or of none.
        self._rows = 0
        self._arrays = self._empty(_FIRST_ROWS)

    def __len__(self):
        return self._stored + self._rows

    @property
    def nbytes(self):
        """Bytes of its rows, what the agent carried included."""
        return len(self) * sum(array[0].nbytes for array in self._arrays.values())

    @property
    def _stored(self):
        return len(self._full) * PIECE_ROWS

    def append(self, row):
        """Adds one row.

        Args:
          row: Dict of key to array, scalar for scalar spaces, the carry's among them.

        Raises:
          TypeError: If a dtype is wrong.
          ValueError: If a key is missing or unexpected, a shape is wrong, or ``is_first`` is not
            on the first row alone.
        """
        values = self._checked(row)
        if self._rows == len(self._arrays["is_first"]):
            # Twice as many; one beyond a piece is enough as long as `spill` can store them.
            until_spilled = PIECE_ROWS + 1 - self._rows
            more = min(self._rows, until_spilled) if until_spilled > 0 else self._rows
            self._arrays = {
                key: np.concatenate([array, np.empty_like(array[:more])])
                for key, array in self._arrays.items()
            }
        for key, value in values.items():
            self._arrays[key][self._rows] = value
        self._rows += 1

    def end(self):
        """Marks the last row as ``is_last``; ``is_terminal`` stays as it is."""
        self._arrays["is_last"][self._rows - 1] = True

    # ----------------------------------------------------------------- reading

    def read(self, key, start, stop):
        """Rows of one key, ``[stop - start, ...]``.

        Raises:
          DamagedEpisodeError: If a piece is.
        """
        found = [
            (self._arrays if name is None else self._pieces.open(name))[key][first:end]
            for name, first, end in self._spans(start, stop)
        ]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def parts(self):
        """Dict of key to arrays that follow each other; pieces are opened when they are read."""
        return {
            key: [_PieceArray(self._pieces, name, key, space) for name in self._full]
            + [self._arrays[key][: self._rows]]
            for key, space in self._pieces.spaces.items()
        }

    def carry(self, start=0, stop=None):
        """Yields records of the carry into rows, all by default: arrays that follow each other."""
        for name, first, end in self._spans(start, len(self) if stop is None else stop):
            if name is None:
                rows = {key: self._arrays[key][first:end] for key in self._pieces.carry_spaces}
                yield to_records(rows, self._pieces.record)
            else:
                yield self._pieces.carry(name).read(first, end)

    def overwrite(self, start, arrays):
        """Replaces the carry from a row on; what would lie beyond the end is left out.

        Args:
          start: First row.
          arrays: Dict of key to array ``[n, ...]``, of all keys of the carry.
        """
        stop = min(len(self), start + len(next(iter(arrays.values()))))
        done = 0
        for name, first, end in self._spans(start, stop):
            new = {key: array[done : done + end - first] for key, array in arrays.items()}
            done += end - first
            if name is None:
                for key, array in new.items():
                    self._arrays[key][first:end] = array
            else:
                self._pieces.carry(name).write(first, to_records(new, self._pieces.record))

    def _spans(self, start, stop):
        """Where rows are: name of the piece (None: in memory), first row in it, and end."""
        while start < min(stop, self._stored):
            piece, first = divmod(start, PIECE_ROWS)
            end = min(PIECE_ROWS, first + stop - start)
            yield self._full[piece], first, end
            start += end - first
        if start < stop:
            yield None, start - self._stored, stop - self._stored

    def begins(self, arrays):
        """Whether a stored episode, a dict of arrays, begins with these rows; images aside."""
        rows = len(self)
        return 0 < rows <= len(arrays["is_first"]) and all(
            np.array_equal(arrays[key][:rows], self.read(key, 0, rows))
            for key, space in self._pieces.spaces.items()
            if not space.is_image and key != "is_last"
        )

    # ----------------------------------------------------------------- storing

    def spill(self):
        """Stores rows and drops them from memory, where there are more than those of a piece.

        Raises:
          OSError: If they could not be stored; they stay in memory.
        """
        while self._rows > PIECE_ROWS:
            name = self._write(PIECE_ROWS)
            self._remove_rest(but=name)
            self._full.append(name)
            self._rest = []
            for array in self._arrays.values():
                array[: self._rows - PIECE_ROWS] = array[PIECE_ROWS : self._rows].copy()
            self._rows -= PIECE_ROWS

    def save(self):
        """Stores all rows; the newest stay in memory, too.

        Raises:
          OSError: If that fails; what was stored before is there still.
        """
        self.spill()
        self._remove_rest(but=self._write(self._rows))

    def shorten(self, rows):
        """Goes back to the first ``rows`` rows, or to fewer where a piece is missing or damaged.

        Damaged pieces are set aside. Later rows that are stored are removed by the next `save`.
        """
        files = self._full + self._rest
        self._full, self._rows = [], 0
        while self._stored < rows:
            name = self._find(files, self._stored)
            if name is None:
                break
            if self._stored + PIECE_ROWS >= rows or name.rows < PIECE_ROWS:
                self._load(name, min(rows - self._stored, name.rows))
                break
            self._full.append(name)
        if self._full and not self._rows:  # The last rows are in memory, see `end`.
            name = self._full.pop()
            self._load(name, PIECE_ROWS)
        self._rest = [name for name in files if name not in self._full]

    def remove(self):
        """Deletes what is stored of it."""
        for name in self._full:
            self._pieces.remove(name)
        self._remove_rest()

    def _find(self, files, start):
        """The piece with the rows from ``start`` on, the one that has most of them; None: none."""
        for name in sorted(files, key=lambda name: -name.rows):
            if name.start == start:
                try:
                    self._pieces.check(name)
                    return name
                except DamagedEpisodeError as error:
                    self._pieces.set_aside(name, error)
        return None

    def _load(self, name, rows):
        stored = self._pieces.open(name)
        self._arrays = self._empty(max(rows, _FIRST_ROWS))
        for key in self._pieces.spaces:
            self._arrays[key][:rows] = stored[key][:rows]
        if self._pieces.carry_spaces:
            carry = self._pieces.carry(name).read(0, rows)
            for key in self._pieces.carry_spaces:
                self._arrays[key][:rows] = carry[key]
        self._rows = rows

    def _write(self, rows):
        name = PieceName(-self.number, self._stored, rows)
        self._pieces.write(name, {key: array[:rows] for key, array in self._arrays.items()})
        self._rest.append(name)
        return name

    def _remove_rest(self, but=None):
        for name in self._rest:
            if name != but:
                self._pieces.remove(name)
        self._rest = [but] if but else []

    def _empty(self, rows):
        spaces = self._spaces.items()
        return {key: np.empty((rows, *space.shape), space.dtype) for key, space in spaces}

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
        if bool(values["is_first"]) != (len(self) == 0):
            raise ValueError(
                f"'is_first' is {bool(values['is_first'])} in row {len(self)} of an episode; "
                f"expected on row 0 and only there"
            )
        return values


# ---- The files.


class PieceName(NamedTuple):
    """What the name of a piece says, see above."""

    number: int
    start: int
    rows: int

    def __str__(self):
        return f"{self.number:09d}-{self.start:09d}-{self.rows:05d}.npz"

    @property
    def carry(self):
        """Name of the file beside it that holds what the agent carried."""
        return str(self).removesuffix(".npz") + CARRY

    @classmethod
    def parse(cls, filename):
        """Reads the name of a piece, or of its carry; None when it is neither."""
        match = _PIECE.fullmatch(filename)
        return cls(*map(int, match.groups())) if match else None


class PieceFolder:
    """The pieces of all unfinished episodes.

    Attributes:
      spaces: Dict of key to `Space`: what each row holds.
      carry_spaces: Likewise, of an agent's carry.
      record: NumPy dtype of the carry into a row.
    """

    def __init__(self, directory, spaces, carry):
        """Names the folder, which is made when it is needed.

        Args:
          directory: Its path.
          spaces: Dict of key to `Space`.
          carry: Dict of key to `Space`.
        """
        self.spaces, self.carry_spaces = dict(spaces), dict(carry)
        self.record = record_dtype(carry)
        self._directory = directory
        self._files = OpenFiles(self._open_file, _OPEN_PIECES)

    def left(self):
        """What an earlier run left: dict of the number of an episode to its `PieceName`.

        Files that a killed writer left unfinished are removed.

        Raises:
          WrongSpacesError: If the newest belongs to another task.
        """
        found, carries = {}, []
        for entry in os.scandir(self._directory) if self._directory.is_dir() else ():
            name = PieceName.parse(entry.name.removesuffix(TEMPORARY))
            if name is None:
                continue
            if entry.name.endswith(TEMPORARY):
                os.unlink(entry.path)
            elif entry.name.endswith(CARRY):
                carries.append((name, entry.path))
            else:
                found.setdefault(name.number, []).append(name)
        # A carry is written before its piece and deleted after it.
        for name, path in carries:
            if name not in found.get(name.number, ()):
                os.unlink(path)
        if found:
            # A damaged one is found again, and set aside, by who needs it.
            with contextlib.suppress(DamagedEpisodeError):
                self.open(max(found[max(found)]))
        return found

    def write(self, name, arrays):
        """Writes a piece, what the agent carried before its rows."""
        self._directory.mkdir(exist_ok=True)
        self._files.discard(name)
        if self.record.names:
            self.carry(name).create([to_records(arrays, self.record)])
        parts = {key: [arrays[key]] for key in self.spaces}
        episode_file.write_episode(self._directory / str(name), parts)

    def open(self, name):
        """Dict of key to `StoredArray`.

        Raises:
          DamagedEpisodeError: If the file is damaged or missing.
        """
        return self._files[name]

    def check(self, name):
        """Opens a piece anew, see `open`."""
        self._files.discard(name)
        self.open(name)

    def carry(self, name):
        """`CarryFile` of a piece."""
        return CarryFile(self._directory / name.carry, self.record, name.rows)

    def remove(self, name):
        """Deletes a piece; one that is gone is no matter."""
        self._files.discard(name)
        (self._directory / str(name)).unlink(missing_ok=True)
        (self._directory / name.carry).unlink(missing_ok=True)

    def close_files(self):
        """Closes the pieces; each is opened anew when it is needed."""
        self._files.clear()

    def set_aside(self, name, reason):
        """Renames a damaged piece, so that it is never read again."""
        self._files.discard(name)
        set_aside(self._directory / str(name), reason)

    def _open_file(self, name):
        path = self._directory / str(name)
        return episode_file.open_episode(path, self.spaces, name.rows, is_whole=False)


class _PieceArray:
    """One key of a piece, which is read when NumPy asks for it."""

    def __init__(self, pieces, name, key, space):
        self.dtype, self.shape = space.dtype, (name.rows, *space.shape)
        self.nbytes = self.dtype.itemsize * int(np.prod(self.shape))
        self._pieces, self._name, self._key = pieces, name, key

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return self._pieces.open(self._name)[self._key][:].astype(dtype or self.dtype, copy=False)
