"""The files of one episode: its rows, and beside them what the agent carried into each.

The rows are one uncompressed npz file, written at once and never changed.

An npz file is a zip archive of npy files. A member that is stored without compression is a run of
bytes at a known offset, so rows of its array are a run of bytes, too. They are read, not mapped: a
file that somebody cuts short is then an error, and not a signal that ends the process.

What the agent carried changes: training writes what the agent would carry by now. `CarryFile` is a
plain npy file of records, one for each row, that are overwritten in place, so nothing grows. A
crash may leave some rows older than others, which is what they are anyhow. A file that is missing,
because the episode is of a run that kept no carry, reads as zeros, the carry before any row, and is
made as it is first written; one that is damaged begins anew.
"""

import contextlib
import errno
import io
import logging
import math
import os
import struct
import tokenize
import zipfile

import numpy as np

from dreamer_tf.common import replacing

_LOGGER = logging.getLogger(__name__)
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1
_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_UNREADABLE = (
    EOFError,
    NotImplementedError,
    OverflowError,
    SyntaxError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
"""What zipfile and numpy raise on bytes that are not what they should be."""


class DamagedEpisodeError(Exception):
    """The file is not a whole episode: cut short, overwritten, or missing."""


class WrongSpacesError(ValueError):
    """A whole episode of another task, of other observation settings, or of another run."""


def write_episode(path, parts):
    """Writes an episode so that ``path`` is either whole and on the disk, or not there.

    Args:
      path: Path of the file to be.
      parts: Dict of key to a list of arrays ``[n, ...]``, which follow each other. Of those that
        are `StoredArray` one is in memory at a time.

    Returns:
      Size of the file in bytes.

    Raises:
      OSError: If it could not be written (a full disk, say); nothing is left behind.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_archive(file, parts)
        return file.tell()


def _write_archive(file, parts):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, arrays in parts.items():
            # A plain ZipInfo carries a constant date: equal episodes are equal files.
            member = zipfile.ZipInfo(key + ".npy")
            with archive.open(member, "w", force_zip64=True) as stream:
                write_header(stream, arrays[0].dtype, (sum(map(len, arrays)), *arrays[0].shape[1:]))
                for array in arrays:
                    stream.write(np.ascontiguousarray(array).tobytes())


def write_header(stream, dtype, shape):
    """Writes the header of an npy file."""
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


class StoredArray:
    """An array ``[rows, ...]`` in an open file, whose rows are read when they are asked for.

    Attributes:
      dtype: NumPy dtype.
      shape: Tuple of ints.
    """

    def __init__(self, file, offset, dtype, shape):
        """Describes it.

        Args:
          file: `_OpenFile`.
          offset: Byte of the first element.
          dtype: NumPy dtype.
          shape: Tuple of ints.
        """
        self.dtype, self.shape = dtype, shape
        self._file, self._offset = file, offset

    def __len__(self):
        return self.shape[0]

    @property
    def nbytes(self):
        """Bytes of all rows."""
        return _size(self.dtype, self.shape)

    def __getitem__(self, rows):
        """Reads rows, a slice of them or one: a new array.

        Raises:
          DamagedEpisodeError: If the file ends before.
        """
        if isinstance(rows, int):
            row = range(len(self))[rows]
            return self[row : row + 1][0]
        if not isinstance(rows, slice):
            return self[:][rows]
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self[:][rows]
        array = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        self.read(start, array)
        return array

    def read(self, start, array):
        """Reads as many rows as an array has, from ``start`` on, into this array.

        Args:
          start: First row.
          array: ``[n, ...]``, contiguous.

        Raises:
          DamagedEpisodeError: If the array or the file ends before.
        """
        stop = start + len(array)
        if stop > len(self):
            raise DamagedEpisodeError(f"it has {len(self)} rows, and is read up to row {stop}")
        left = memoryview(array.reshape(-1).view(np.uint8))
        offset = self._offset + start * _size(self.dtype, self.shape[1:])
        while left:
            count = os.preadv(self._file.descriptor, [left], offset)
            if not count:
                raise DamagedEpisodeError(f"the file ends at byte {offset}, within its rows")
            left, offset = left[count:], offset + count

    def __array__(self, dtype=None, copy=None):
        """All rows, for NumPy."""
        return self[:].astype(dtype or self.dtype, copy=False)


class _OpenFile:
    """A file that is open as long as this is alive."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def __del__(self):
        os.close(self.descriptor)


def open_episode(path, spaces, rows, is_whole=True):
    """Opens an episode as arrays that are read from the file row by row.

    The structure of the file is checked, and the checksum of everything but images: a wrong
    pixel is one wrong pixel, a wrong number can ruin a model.

    Args:
      path: Path of the file.
      spaces: Dict of key to `Space`: what each row must hold.
      rows: Number of rows that the file must have.
      is_whole: Whether it must be an episode from its first row to its last; otherwise rows of an
        unfinished one.

    Returns:
      Dict of key to `StoredArray` ``[rows, ...]``. The file stays open while one is alive.

    Raises:
      DamagedEpisodeError: If the file is missing or damaged.
      WrongSpacesError: If it is an intact episode with other keys, dtypes or shapes.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            layout = {info.filename: _locate(file, info) for info in archive.infolist()}
            problem = _compare(layout, spaces)
            if problem:
                _require_whole(archive, layout)
                raise WrongSpacesError(
                    f"{path} does not fit this task: {problem}. The replay folder belongs to "
                    f"another task or other observation settings; use another folder."
                )
            numbers = [f"{key}.npy" for key, space in spaces.items() if not space.is_image]
            _require_checksums(archive, numbers)
            kept = _OpenFile(os.dup(file.fileno()))
        arrays = {key: StoredArray(kept, *layout[key + ".npy"]) for key in spaces}
        _check_rows(arrays, rows, is_whole)
    except FileNotFoundError as error:
        raise DamagedEpisodeError("the file is gone") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # The answer to a seek before the file's beginning.
            raise
        raise DamagedEpisodeError(f"not a whole npz file ({error})") from error
    except WrongSpacesError:
        raise
    except _UNREADABLE as error:
        raise DamagedEpisodeError(f"not a whole npz file ({error})") from error
    return arrays


def _locate(file, info):
    """Finds one member's array.

    Args:
      file: The archive, opened for reading.
      info: The member's entry in the archive's directory.

    Returns:
      Offset of the first element in the file, dtype, and shape.
    """
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{info.filename} is compressed or encrypted")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    signature, name_size, extra_size = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise ValueError(f"no member where {info.filename} should begin")
    start = info.header_offset + _LOCAL_HEADER.size + name_size + extra_size
    file.seek(start)
    version = np.lib.format.read_magic(file)
    if version not in _NPY_HEADERS:
        raise ValueError(f"{info.filename} has npy version {version}")
    shape, fortran_order, dtype = _NPY_HEADERS[version](file)
    offset = file.tell()
    end = offset + _size(dtype, shape)
    size = os.fstat(file.fileno()).st_size
    is_elsewhere = end != start + info.file_size or end > size
    if fortran_order or dtype.hasobject or not shape or is_elsewhere:
        raise ValueError(f"{info.filename} has an unexpected layout")
    return offset, dtype, shape


def _size(dtype, shape):
    return dtype.itemsize * math.prod(shape)


def _compare(layout, spaces):
    """Says in words how the members differ from the spaces; None when they agree."""
    expected = {key + ".npy" for key in spaces}
    missing, unexpected = sorted(expected - layout.keys()), sorted(layout.keys() - expected)
    if missing or unexpected:
        return f"keys missing {_keys(missing)}, not expected {_keys(unexpected)}"
    for key, space in spaces.items():
        _, dtype, (_, *shape) = layout[key + ".npy"]
        if (dtype, tuple(shape)) != (space.dtype, space.shape):
            return f"{key!r} holds {dtype} {tuple(shape)}, expected {space.dtype} {space.shape}"
    return None


def _keys(members):
    return ", ".join(repr(name.removesuffix(".npy")) for name in members) or "none"


def _require_whole(archive, layout):
    """Tells an intact archive of something else from one whose directory lost members."""
    ends = [offset + _size(dtype, shape) for offset, dtype, shape in layout.values()]
    if max(ends, default=0) != archive.start_dir:
        raise ValueError("the archive's directory does not list all of its members")
    _require_checksums(archive, archive.namelist())


def _require_checksums(archive, members):
    for member in members:
        archive.read(member)  # Raises BadZipFile where the checksum differs.


def _check_rows(arrays, rows, is_whole):
    for key, array in arrays.items():
        if len(array) != rows:
            raise DamagedEpisodeError(f"{key!r} has {len(array)} rows, the name says {rows}")
    for key, row in (("is_first", 0), ("is_last", rows - 1)) if is_whole else ():
        if np.flatnonzero(arrays[key]).tolist() != [row]:
            raise DamagedEpisodeError(f"{key!r} does not mark row {row} alone")


# ---- What the agent carried.


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
        write_header(header, dtype, (rows,))
        self._header = header.getvalue()

    def create(self, parts):
        """Writes the whole file, so that it is there either whole or not at all.

        Args:
          parts: Arrays of records that follow each other, ``rows`` in all.

        Raises:
          OSError: If it could not be written; nothing is left behind.
        """
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            file.write(self._header)
            for records in parts:
                file.write(np.ascontiguousarray(records).tobytes())

    def read(self, start=0, stop=None):
        """Returns records of rows, all by default; zeros where the file is missing."""
        stop = self._rows if stop is None else stop
        records = np.zeros(stop - start, self._dtype)
        if self._path.exists():
            with self._open("rb") as file:
                file.seek(self._offset(start))
                read = np.fromfile(file, self._dtype, stop - start)
            records[: len(read)] = read
        return records

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
        if not self._path.exists():
            self._create_empty()
        with self._open("r+b") as file:
            file.seek(self._offset(start))
            file.write(records.tobytes())

    def _offset(self, row):
        return len(self._header) + row * self._dtype.itemsize

    @contextlib.contextmanager
    def _open(self, mode):
        """Opens the file; if it is not what it should be, it begins anew."""
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
        self.create([np.zeros(self._rows, self._dtype)])
