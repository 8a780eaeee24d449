"""The command ``plot``: ``--figure NAME --indir RUNS ... --out DIR``.

Exit codes: 0 done; 2 the runs, score files or options do not make the figure; 130 stopped by
Ctrl-C; 141 nobody reads the output any more (``| head``).
"""

import argparse
import sys

from dreamer_tf.apps.figures.catalogue import KINDS, OPTIONS
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.common import nearest
from dreamer_tf.config.program import add_version, program_name, unread_output

_FORMATS = ("pdf", "png", "svg")


def plot(argv=None):
    """Draws a figure.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    with unread_output():
        arguments = _parse(sys.argv[1:] if argv is None else list(argv))
        try:
            drawing = KINDS[arguments.figure].make(arguments)
            paths = _save(drawing.figure, arguments)
        except (FigureError, OSError) as error:
            print(f"{program_name()}: {error}", file=sys.stderr)
            raise SystemExit(2) from error
        for note in drawing.notes:
            print(f"{program_name()}: note: {note}", file=sys.stderr)
        if drawing.text:
            print(drawing.text)
        for path in paths:
            print(path)


def _parse(argv):
    """Reads the command line; only the options of the figure that it names are allowed."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--figure")
    figure = first.parse_known_args(argv)[0].figure
    if figure not in KINDS:
        parser = _parser(KINDS)
        if figure is not None:
            near = nearest(figure, KINDS) or list(KINDS)
            parser.error(f"there is no figure {figure!r}; did you mean {' or '.join(near)}?")
        return parser.parse_args(argv)
    parser = _parser({figure: KINDS[figure]})
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        users = _users(rest[0].removeprefix("--").partition("=")[0])
        hint = f"it belongs to {', '.join(users)}" if users else "--help lists its options"
        parser.error(f"{rest[0]} is no option of {figure}; {hint}")
    return arguments


def _parser(kinds):
    parser = argparse.ArgumentParser(
        description="Draws the papers' figures from run folders and score files.",
        epilog="figures:\n" + "\n".join(f"  {n:<15} {kind.title}" for n, kind in KINDS.items()),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
    parser.add_argument("--figure", required=True, metavar="NAME", help=", ".join(KINDS))
    parser.add_argument(
        "--indir",
        required=True,
        nargs="+",
        metavar="PATH",
        help="run folders, score files (.json, .json.gz), or folders that hold any of these; "
        "NAME=PATH gives the runs found there the method name NAME",
    )
    parser.add_argument("--out", default="figures", metavar="DIR", help="where it is saved")
    parser.add_argument("--name", help="file name without ending (the figure's name)")
    parser.add_argument(
        "--formats", nargs="+", default=["pdf", "png"], choices=_FORMATS, help="which files"
    )
    for name, settings in OPTIONS.items():
        users = _users(name)
        if any(figure in kinds for figure in users):
            _add(parser, name, settings, users, kinds)
    return parser


def _users(option):
    """The figures that take an option."""
    return [figure for figure, kind in KINDS.items() if option in kind.options]


def _add(parser, name, settings, users, kinds):
    """Adds an option; the help of all figures says which take it."""
    if len(kinds) == 1:
        [kind] = kinds.values()
        settings = settings | {"default": kind.defaults.get(name, settings.get("default"))}
    elif len(others := [name for name in KINDS if name not in users]) <= 2:
        settings = settings | {"help": f"{settings['help']} [not {', '.join(others)}]"}
    else:
        settings = settings | {"help": f"{settings['help']} [{', '.join(users)}]"}
    parser.add_argument(f"--{name}", **settings)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows the default of an option where there is one."""

    def _get_help_string(self, action):
        default = action.default
        if default in (None, "", False, []) or default == argparse.SUPPRESS:
            return action.help
        shown = " ".join(default) if isinstance(default, list) else default
        return f"{action.help} (default: {shown})"


def _save(figure, arguments):
    from dreamer_tf.apps.figures.canvas import save

    try:
        return save(figure, arguments.out, arguments.name or arguments.figure, arguments.formats)
    except OSError as error:
        raise FigureError(f"cannot write to {arguments.out}: {error}") from error
