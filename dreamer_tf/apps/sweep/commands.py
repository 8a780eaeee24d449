"""The command ``sweep``: ``--benchmark NAME --logdir DIR``.

Exit codes: 0 all runs are finished; 1 some are not; 2 the arguments do not fit; 130 and 143 stopped
by Ctrl-C and SIGTERM, every run saved; 141 nobody reads the output any more (``| head``).
"""

import argparse
import datetime
import shlex
import sys

from dreamer_tf.apps.commands import exit_codes
from dreamer_tf.apps.sweep.benchmarks import BENCHMARKS
from dreamer_tf.apps.sweep.jobs import plan
from dreamer_tf.apps.sweep.runner import OUTPUT, Runner
from dreamer_tf.common import nearest
from dreamer_tf.config.resolve import add_version


def sweep(argv=None):
    """Runs a benchmark, or what is left of it.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    with exit_codes():
        parser = _parser()
        arguments, overrides = parser.parse_known_args(argv)
        if arguments.benchmark not in BENCHMARKS:
            near = nearest(arguments.benchmark, BENCHMARKS) or BENCHMARKS
            hint = f"did you mean {' or '.join(near)}?"
            parser.error(f"there is no benchmark {arguments.benchmark!r}; {hint}")
        jobs = plan(
            BENCHMARKS[arguments.benchmark],
            arguments.logdir,
            tasks=arguments.tasks,
            seeds=arguments.seeds,
            presets=arguments.configs,
            overrides=overrides,
        )
        left = [job for job in jobs if not job.is_finished]
        print(f"{len(jobs)} runs, {len(jobs) - len(left)} finished", file=sys.stderr)
        if arguments.dry_run:
            for job in left:
                print(shlex.join(job.command))
        else:
            _run(left, arguments.parallel, arguments.gpus)


def _run(jobs, parallel, gpus):
    def say(text):
        print(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  {text}", flush=True)

    def on_end(ended):
        if ended.finished:
            took = datetime.timedelta(seconds=round(ended.seconds))
            say(f"finished {ended.job.name} in {took}")
        else:
            say(f"not finished {ended.job.name}: {ended.reason}")

    runner = Runner(
        parallel, gpus=gpus, on_start=lambda job: say(f"started {job.name}"), on_end=on_end
    )
    ended = runner.run(jobs)
    failed = [one for one in ended if not one.finished]
    print(f"{len(ended) - len(failed)} runs finished, {len(jobs) - len(ended) + len(failed)} left")
    if runner.stopped is not None:
        print("stopped; the same command continues")
        raise SystemExit(128 + runner.stopped)
    for one in failed:
        print(f"{one.job.name}: {one.reason}\n  see {one.job.folder / OUTPUT}", file=sys.stderr)
    if failed:
        raise SystemExit(1)


def _parser():
    width = max(map(len, BENCHMARKS))
    listed = "\n".join(f"  {name:<{width}} {entry.title}" for name, entry in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        description="Runs the tasks and seeds of a paper's benchmark on this machine. The same "
        "command goes on where it stopped: finished runs are left alone, others are continued.",
        usage="%(prog)s --benchmark NAME --logdir DIR [options] [--key value ...]",
        epilog=f"benchmarks:\n{listed}\n\n--key value: any option of train, for all runs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
    parser.add_argument("--benchmark", required=True, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--logdir",
        required=True,
        metavar="DIR",
        help="folder of the sweep; runs are in DIR/<task>/seed<n>",
    )
    parser.add_argument(
        "--tasks", nargs="+", default=[], metavar="TASK", help="only these, such as 'dmc_walker_*'"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=_seed, metavar="N", help="which (default: as many as the paper)"
    )
    parser.add_argument(
        "--configs",
        nargs="+",
        default=[],
        metavar="NAME",
        help="presets in place of the benchmark's",
    )
    parser.add_argument(
        "--parallel", type=_count, default=1, metavar="N", help="runs side by side (default: 1)"
    )
    parser.add_argument(
        "--gpus",
        nargs="+",
        default=[],
        metavar="GPU",
        help="each run sees one of these (default: all see all)",
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="print the commands of the runs that are left"
    )
    return parser


def _seed(text):
    return _whole(text, 0)


def _count(text):
    return _whole(text, 1)


def _whole(text, least):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text}")
    return int(text)
