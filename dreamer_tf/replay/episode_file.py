"""One episode as one uncompressed npz file: atomic writing and memory-mapped reading.

An npz file is a zip archive of npy files. A member that is stored without compression is a run of
bytes at a known offset, so its array can be a view of the mapped file.
"""

import errno
import math
import mmap
import struct
import tokenize
import zipfile

import numpy as np

from dreamer_tf.common import replacing

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
    """The file is a whole episode, but of another task or other observation settings."""


def write_episode(path, arrays):
    """Writes an episode so that ``path`` is either whole and on the disk, or not there.

    Args:
      path: Path of the file to be.
      arrays: Dict of key to array ``[rows, ...]``.

    Returns:
      Size of the file in bytes.

    Raises:
      OSError: If it could not be written (a full disk, say); nothing is left behind.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_archive(file, arrays)
        return file.tell()


def _write_archive(file, arrays):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            # A plain ZipInfo carries a constant date: equal episodes are equal files.
            member = zipfile.ZipInfo(key + ".npy")
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def map_episode(path, spaces, rows):
    """Opens an episode as arrays that are read from the file when they are touched.

    The structure of the file is checked, and the checksum of everything but images: a wrong
    pixel is one wrong pixel, a wrong number can ruin a model.

    Args:
      path: Path of the file.
      spaces: Dict of key to `Space`: what each row must hold.
      rows: Number of rows that the file must have.

    Returns:
      Dict of key to read-only array ``[rows, ...]``. The file stays mapped while one is alive.

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
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            arrays = {key: _view(mapped, *layout[key + ".npy"]) for key in spaces}
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
    _check_rows(arrays, rows)
    return arrays


def _view(mapped, offset, dtype, shape):
    return np.frombuffer(mapped, dtype, math.prod(shape), offset).reshape(shape)


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
    if fortran_order or dtype.hasobject or not shape or end != start + info.file_size:
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


def _check_rows(arrays, rows):
    for key, array in arrays.items():
        if len(array) != rows:
            raise DamagedEpisodeError(f"{key!r} has {len(array)} rows, the name says {rows}")
    for key, row in (("is_first", 0), ("is_last", rows - 1)):
        if np.flatnonzero(arrays[key]).tolist() != [row]:
            raise DamagedEpisodeError(f"{key!r} does not mark row {row} alone")
