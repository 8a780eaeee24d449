"""Folders that are there whole or not at all, as an export and a card are."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def made_whole(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Lets a folder be filled beside ``path``, and puts it there when all is written.

    Args:
      path: Folder to make; it may be there, empty.

    Yields:
      The folder to write into.

    Raises:
      OSError: If it cannot be written; nothing of it is left then.
    """
    path = pathlib.Path(os.path.abspath(path))  # The name ``.`` would have no neighbour.
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        _put(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(partial, path):
    if path.exists() and path.samefile(os.curdir):
        # Replaced, it would be gone for those who stand in it: this process and the user's shell.
        for entry in list(partial.iterdir()):
            entry.rename(path / entry.name)
        return
    if path.exists():
        path.rmdir()
    partial.rename(path)
