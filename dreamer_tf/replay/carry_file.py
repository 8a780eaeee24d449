"""What an agent carried into each row of an episode, in a file beside the episode's.

Unlike the episode the file changes: training writes what the agent would carry by now. Rows are
overwritten in place, so nothing grows. A crash may leave some rows older than others, which is
what they are anyhow. A file that is missing, because the episode is of a run that kept no carry,
or that is damaged, begins anew with zeros, the carry before any row. It is a plain npy file of
records, one for each row.
"""

import contextlib
import io
import logging
import os

import numpy as np

from dreamer_tf.common import replacing

_LOGGER = logging.getLogger(__name__)


def record_dtype(spaces):
    """NumPy dtype of the record of a row.

    Args:
      spaces: Dict of key to `Space`.
    """
    return np.dtype([(key, space.dtype, space.shape) for key, space in spaces.items()])


def to_records(arrays, dtype):
    """Records ``[n]`` of a dict of arrays ``[n, ...]``."""
    records = np.empty(len(next(iter(arrays.values()))), dtype)
    for key in dtype.names:
        records[key] = arrays[key]
    return records


class CarryFile:
    """The file of one episode.

    Each call opens the file anew: a batch touches few of them, and none stays open.
    """

    def __init__(self, path, dtype, rows):
        """Describes the file.

        Args:
          path: Its path.
          dtype: NumPy dtype of a record.
          rows: Rows of the episode.
        """
        self._path = path
        self._dtype = dtype
        self._rows = rows
        header = io.BytesIO()
        shape = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(header, shape | {"shape": (rows,)})
        self._header = header.getvalue()

    def create(self, records):
        """Writes the whole file, so that it is there either whole or not at all.

        Args:
          records: ``[rows]`` records.

        Raises:
          OSError: If it could not be written; nothing is left behind.
        """
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            file.write(self._header)
            file.write(np.ascontiguousarray(records).tobytes())

    def read(self, row):
        """Returns the record of a row."""
        with self._open("rb") as file:
            file.seek(self._offset(row))
            return np.frombuffer(file.read(self._dtype.itemsize), self._dtype)[0]

    def write(self, start, records):
        """Overwrites rows.

        Args:
          start: First row.
          records: ``[n]`` records; those beyond the episode's end are left out.

        Raises:
          OSError: If they could not be written.
        """
        records = np.ascontiguousarray(records[: self._rows - start])
        if not len(records):
            return
        with self._open("r+b") as file:
            file.seek(self._offset(start))
            file.write(records.tobytes())

    def _offset(self, row):
        return len(self._header) + row * self._dtype.itemsize

    @contextlib.contextmanager
    def _open(self, mode):
        """Opens the file; if it is not what it should be, it begins anew."""
        if not self._path.exists():
            self._create_empty()
        with open(self._path, mode) as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(self._header)) == self._header and size == self._offset(self._rows):
                yield file
                return
        _LOGGER.warning("Damaged file of carry %s begins anew with zeros", self._path)
        self._create_empty()
        with open(self._path, mode) as file:
            yield file

    def _create_empty(self):
        self.create(np.zeros(self._rows, self._dtype))
