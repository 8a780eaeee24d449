"""What every command does: its name, its version, errors of one line, Ctrl-C, unread output."""

import argparse
import contextlib
import functools
import os
import pathlib
import signal
import sys
import typing

from dreamer_tf import __version__
from dreamer_tf.config.errors import ConfigError


def command(function: typing.Callable) -> typing.Callable:
    """Makes a function a command: a `ConfigError` is one line on stderr and exit code 2."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except ConfigError as error:
            print(f"{program_name()}: {error}", file=sys.stderr)
            raise SystemExit(2) from error

    return run


@contextlib.contextmanager
def unread_output() -> typing.Iterator[None]:
    """Ends a command without a traceback when nobody reads its output any more, or at Ctrl-C.

    Raises:
        SystemExit: With code 141 (``| head``) or 130, as if SIGPIPE or SIGINT had ended it.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        # What is still buffered would raise again when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from error
    except KeyboardInterrupt as error:
        raise SystemExit(128 + signal.SIGINT) from error


def program_name() -> str:
    """The name of the running command, as its messages show it."""
    path = pathlib.Path(sys.argv[0])
    if path.name == "__main__.py":  # python -m dreamer_tf.<room>
        return f"python -m {path.parent.parent.name}.{path.parent.name}"
    return path.name


def add_version(parser: argparse.ArgumentParser) -> None:
    """Gives a command without a config the option ``--version``."""
    text = f"{program_name()} {__version__}"
    parser.add_argument("--version", action="version", version=text, help="show the version")
