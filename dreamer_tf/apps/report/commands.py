"""The command ``report``: ``RUN ... [--out FILE]``.

Exit codes: 0 done; 1 the page cannot be written; 2 the folders or options do not make a report;
130 stopped by Ctrl-C; 141 nobody reads the output any more (``| head``).
"""

import argparse
import sys

from dreamer_tf.apps.report.document import write_report
from dreamer_tf.apps.report.errors import ReportError
from dreamer_tf.config.program import add_version, program_name, unread_output


def report(argv=None):
    """Writes the report of runs.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(
        description="Writes one self-contained HTML page about a run, or about several side by "
        "side: learning curves, losses, videos, speed, settings and environment. A run need not be "
        "finished.",
        allow_abbrev=False,
    )
    add_version(parser)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run folder; NAME=PATH calls the run at PATH NAME",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the page (default: report.html, in the run's folder; of several runs, in the "
        "current folder)",
    )
    parser.add_argument(
        "--videos",
        type=_count,
        metavar="N",
        help="videos of each kind, per run, spread over the training (default: 3 of a single run, "
        "1 of several)",
    )
    with unread_output():
        arguments = parser.parse_args(argv)
        try:
            print(write_report(arguments.runs, arguments.out, arguments.videos))
        except ReportError as error:
            _end(error, 2)
        except OSError as error:
            _end(error, 1)


def _end(error, code):
    print(f"{program_name()}: {error}", file=sys.stderr)
    raise SystemExit(code) from error


def _count(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {value}")
    return value
