"""The command line that all commands with a config share: ``--configs``, ``--key value``, help."""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import sys
import textwrap
import typing

from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.files import preset_names, preset_title, whole_presets
from dreamer_tf.config.options import options, sections, text
from dreamer_tf.config.resolve import Resolved, load, print_config, split_words


def parse_args(argv: typing.Sequence[str] | None = None, description: str = "") -> Resolved:
    """Reads ``--configs NAME ... --key value ...``.

    ``--help`` and ``--print_config`` print and end the program with code 0.

    Args:
        argv: Words after the program's name; None: those of this process.
        description: What the command does, shown by ``--help``.

    Returns:
        The config and where its values came from.

    Raises:
        ConfigError: A preset or key does not exist, or a value does not fit.
        SystemExit: The command line asked for ``--help`` or ``--print_config``.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if "-h" in argv or "--help" in argv:
        print(help_text(description))
        raise SystemExit(0)
    presets, overrides, show = [], [], False
    for name, values in split_words(argv):
        if name == "configs":
            if not values:
                raise ConfigError(f"--configs needs names among {', '.join(whole_presets())}.")
            presets += values
        elif name == "print_config":
            if values:
                raise ConfigError(f"--print_config takes no value, got {' '.join(values)!r}.")
            show = True
        elif name == "env":
            overrides += ["--task", own_environment(values)]
        else:
            overrides += [f"--{name}", *values]
    resolved = load(presets, overrides)
    if show:
        print_config(resolved)
        raise SystemExit(0)
    return resolved


def own_environment(values: typing.Sequence[str]) -> str:
    """The task that ``--env module:name`` stands for.

    Raises:
        ConfigError: There is not one value of this form.
    """
    if len(values) != 1 or ":" not in values[0]:
        raise ConfigError(
            f"--env takes module:name of an environment of your own, such as my_robot:Arm for the "
            f"class Arm in my_robot.py; got {' '.join(values) or 'nothing'!r}. Tasks by name are "
            f"--task; the options of the group are {', '.join(_inside('env'))}."
        )
    return values[0]


def _inside(group):
    return [key for key in options() if key.rpartition(".")[0] == group]


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
    """Ends a command without a traceback when nobody reads its output any more (``| head``).

    Raises:
        SystemExit: With code 141, as if SIGPIPE had ended the program.
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


def program_name() -> str:
    """The name of the running command, as its messages show it."""
    path = pathlib.Path(sys.argv[0])
    if path.name == "__main__.py":  # python -m dreamer_tf.<room>
        return f"python -m {path.parent.parent.name}.{path.parent.name}"
    return path.name


def help_text(description: str = "") -> str:
    """What ``--help`` prints: every preset and every option with its default and meaning."""
    width = min(shutil.get_terminal_size().columns, 100)
    known = options()
    lines = [f"usage: {program_name()} [--configs NAME ...] [--key value ...]", ""]
    if description:
        lines += [*textwrap.wrap(description, width), ""]
    lines += _entry(
        "--configs NAME ...", "presets, applied from left to right; or YAML files", width
    )
    lines += _entry(
        "--env module:name", "a class or function of your own, which is then the task", width
    )
    lines += _entry("--print_config", "show the result and where each value came from", width)
    lines += _entry("--help", "show this", width)
    whole = whole_presets()
    bases = [name for name in preset_names() if name not in whole]
    for heading, names in ("presets", whole), ("presets that these build on", bases):
        lines += ["", heading]
        for name in names:
            lines += _entry(name, preset_title(name), width)
    for section, heading in {"": "", **sections()}.items():
        inside = _inside(section)
        lines += ["", f"{section}: {heading}" if section else "general"] if inside else []
        for key in inside:
            name, meaning = _describe(known[key])
            lines += _entry(name, meaning, width)
    return "\n".join(lines)


def _describe(option):
    kind = "|".join(option.choices) if option.choices else option.type_name
    default = text(option.default) or "empty"
    return f"--{option.key} {kind}", f"{option.text} (default: {default})"


def _entry(name, meaning, width):
    column = 36
    wrapped = textwrap.wrap(meaning, max(width - column, 30), break_on_hyphens=False)
    if len(name) + 4 > column:
        return [f"  {name}", *(" " * column + line for line in wrapped)]
    first = f"  {name}".ljust(column) + wrapped[0]
    return [first, *(" " * column + line for line in wrapped[1:])]
