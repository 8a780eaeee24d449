"""How a package that only some need is installed."""

import pathlib
import shlex
import sys

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def install_hint(extra: str) -> str:
    """The command that brings an extra, from any folder: of this checkout, or of the wheel.

    Args:
      extra: Its name in ``setup.py``.
    """
    if not (_CHECKOUT / "setup.py").is_file():
        return f'pip install "dreamer-tf[{extra}]"'
    return f'{shlex.quote(sys.executable)} -m pip install -e "{_CHECKOUT}[{extra}]"'
