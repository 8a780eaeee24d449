"""Files that appear whole or not at all: a crash, or a reader, finds the old one or the new one."""

import contextlib
import json
import os
import pathlib
import typing

TEMPORARY = ".tmp"
"""What the name of a file ends with, or begins with, while it is written."""


@contextlib.contextmanager
def replacing(path: pathlib.Path, keep_ending: bool = False) -> typing.Iterator[pathlib.Path]:
    """Lets a file be written beside ``path``, and puts it there in one step, on the disk.

    Args:
      path: Path of the file to be; its folder exists.
      keep_ending: Whether the path to write to ends as ``path`` does, for libraries that choose a
        format by that.

    Yields:
      The path to write to.

    Raises:
      OSError: If it could not be written (a full disk, say); what was there is there still, and
        nothing else.
    """
    name = f"{TEMPORARY}-{path.name}" if keep_ending else f"{path.name}{TEMPORARY}"
    temporary = path.with_name(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_json(path: pathlib.Path, value: typing.Any, indent: int | None = 2) -> None:
    """Writes a JSON file in one step.

    Args:
      path: Path of the file.
      value: JSON value without NaN or infinity.
      indent: Spaces of a level; None: all in one line.
    """
    text = json.dumps(value, indent=indent, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync(directory: pathlib.Path) -> None:
    """Waits until the folder's entries (new names, renames) are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
