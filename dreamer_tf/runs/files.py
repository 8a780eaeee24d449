"""Files that appear whole or not at all: a crash, or a reader, finds the old one or the new one."""

import contextlib
import json
import os


@contextlib.contextmanager
def replacing(path):
    """Lets a file be written beside ``path``, and puts it there in one step.

    Args:
      path: ``pathlib.Path`` of the file to be; its folder exists.

    Yields:
      The path to write to, with the same ending.

    Raises:
      OSError: If it could not be written; what was there is there still, and nothing else.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path, value, indent=2):
    """Writes a JSON file in one step.

    Args:
      path: ``pathlib.Path`` of the file.
      value: JSON value without NaN or infinity.
      indent: Spaces of a level; None: all in one line.
    """
    text = json.dumps(value, indent=indent, allow_nan=False) + "\n"
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
