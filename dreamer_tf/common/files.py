"""Files that are never seen half written."""

import contextlib
import os
import pathlib
import typing

TEMPORARY = ".tmp"
"""What the name of a file ends with while it is written."""


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> typing.Iterator[typing.BinaryIO]:
    """Opens a file so that ``path`` is afterwards either whole and on the disk, or as before.

    Args:
      path: Path of the file to be.

    Yields:
      A binary file to write to.

    Raises:
      OSError: If it could not be written (a full disk, say); nothing is left behind.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync(path.parent)


def sync(directory: pathlib.Path) -> None:
    """Waits until the folder's entries (new names, renames) are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
