"""How a package that only some need is installed."""

import pathlib

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2] / "setup.py"


def install_hint(extra: str) -> str:
    """The command that brings an extra, in a checkout or where the wheel is installed.

    Args:
      extra: Its name in ``setup.py``.
    """
    what = f'-e ".[{extra}]"' if _CHECKOUT.is_file() else f'"dreamer-tf[{extra}]"'
    return f"pip install {what}"
