"""What can be refused before anything is loaded; without TensorFlow, so that it takes no time."""

import importlib.util
import os
import pathlib

from dreamer_tf.common.extras import install_hint
from dreamer_tf.export.errors import ExportError


def check_free(path: str | os.PathLike) -> None:
    """Refuses a place that holds something.

    Args:
      path: Folder to be made.

    Raises:
      ExportError: If it is there and not an empty folder.
    """
    path = pathlib.Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ExportError(f"{path} is there already; name a new or an empty folder")


def check_onnx() -> None:
    """Refuses ONNX where its converter is not installed.

    Raises:
      ExportError: With the command that installs it.
    """
    missing = [name for name in ("tf2onnx", "onnx") if not importlib.util.find_spec(name)]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}: {install_hint('onnx')}")
