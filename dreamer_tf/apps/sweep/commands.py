"""The command ``sweep``: ``--benchmark NAME --logdir DIR``, here or on a cluster, or as a search.

Exit codes: 0 all runs are finished; 1 some are not; 2 the arguments do not fit; 130 and 143 stopped
by Ctrl-C and SIGTERM, every run saved; 141 nobody reads the output any more (``| head``).
"""

import argparse
import datetime
import functools
import os
import pathlib
import shlex
import sys

from dreamer_tf.apps.commands import exit_codes
from dreamer_tf.apps.sweep.benchmarks import BENCHMARKS
from dreamer_tf.apps.sweep.engines import OUTPUT, OnRay, OnSlurm, resources_from_words
from dreamer_tf.apps.sweep.jobs import plan
from dreamer_tf.apps.sweep.runner import Runner
from dreamer_tf.apps.sweep.search import Searched, examples, search
from dreamer_tf.common import nearest
from dreamer_tf.config.program import add_version


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
        if arguments.engine == "local" and (arguments.resources or arguments.address):
            parser.error("--resources and --address are of the engines ray and slurm: --engine")
        if arguments.engine != "local" and arguments.gpus:
            parser.error("--gpus is of the engine local; give others --resources")
        plan_jobs = functools.partial(
            plan,
            BENCHMARKS[arguments.benchmark],
            tasks=arguments.tasks,
            seeds=arguments.seeds,
            presets=arguments.configs,
        )
        searched = [Searched.from_text(text) for text in arguments.search]
        for words in examples(searched):  # Those of a trial must suit presets and options, too.
            plan_jobs(pathlib.Path(arguments.logdir) / "trial", overrides=[*overrides, *words])
        if searched and not arguments.dry_run:
            _search(arguments, searched, plan_jobs, overrides)
            return
        jobs = plan_jobs(arguments.logdir, overrides=overrides)
        left = [job for job in jobs if not job.is_finished]
        print(f"{len(jobs)} runs, {len(jobs) - len(left)} finished", file=sys.stderr)
        if searched:
            keys = ", ".join(option.key for option in searched)
            print(f"{arguments.trials} trials of them, each with its own {keys}", file=sys.stderr)
        if arguments.dry_run:
            for job in left:
                print(shlex.join(job.command))
        else:
            failed = _run(left, _runner(arguments, len(left)))
            if failed:
                raise SystemExit(1)


def _search(arguments, searched, plan_jobs, overrides):
    runs = len(plan_jobs(arguments.logdir, overrides=overrides))
    at_once = max(1, arguments.parallel // runs)
    runner = _runner(arguments, at_once * runs)
    best = search(
        arguments.logdir,
        searched,
        trials=arguments.trials,
        objective=arguments.objective,
        seed=arguments.search_seed,
        at_once=at_once,
        plan=lambda folder, words: plan_jobs(folder, overrides=[*overrides, *words]),
        run=lambda jobs: _run(jobs, runner),
        say=_say,
    )
    if best is None:
        print(f"no trial has a value of {arguments.objective}", file=sys.stderr)
        raise SystemExit(1)
    words = shlex.join(best.user_attrs["words"])
    print(f"best of {arguments.trials}: trial {best.number}, {best.value:.6g}: {words}")


def _runner(arguments, runs):
    def on_end(ended):
        if ended.finished:
            took = datetime.timedelta(seconds=round(ended.seconds))
            _say(f"finished {ended.job.name} in {took}")
        else:
            _say(f"not finished {ended.job.name}: {ended.reason}")

    resources = resources_from_words(arguments.resources)
    folder = pathlib.Path(arguments.logdir)
    engine = {
        "local": lambda: None,
        "ray": lambda: OnRay(arguments.address, resources),
        "slurm": lambda: OnSlurm(folder / "submitit", resources, arguments.address or None),
    }[arguments.engine]()
    return Runner(
        # A cluster has a queue of its own.
        arguments.parallel if arguments.engine == "local" else max(1, runs),
        gpus=arguments.gpus,
        engine=engine,
        on_start=lambda job: _say(f"started {job.name}"),
        on_end=on_end,
    )


def _run(jobs, runner):
    """Runs jobs and tells how they ended; returns those that failed.

    Raises:
      SystemExit: If a signal stopped them.
    """
    ended = runner.run(jobs)
    failed = [one for one in ended if not one.finished]
    print(f"{len(ended) - len(failed)} runs finished, {len(jobs) - len(ended) + len(failed)} left")
    if runner.stopped is not None:
        print("stopped; the same command continues")
        raise SystemExit(128 + runner.stopped)
    for one in failed:
        print(f"{one.job.name}: {one.reason}\n  see {one.job.folder / OUTPUT}", file=sys.stderr)
    return failed


def _say(text):
    print(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  {text}", flush=True)


def _parser():
    width = max(map(len, BENCHMARKS))
    listed = "\n".join(f"  {name:<{width}} {entry.title}" for name, entry in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        description="Runs the tasks and seeds of a paper's benchmark, here or on a cluster. The "
        "same command goes on where it stopped: finished runs are left alone, others continued.",
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
        type=os.path.expanduser,
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
        "--engine",
        choices=("local", "ray", "slurm"),
        default="local",
        help="where the runs go (default: local): this machine, a Ray cluster, Slurm",
    )
    parser.add_argument(
        "--address",
        default="",
        metavar="ADDRESS",
        help="of the Ray cluster, or auto (default: this machine alone); slurm: local or debug, to "
        "try it without",
    )
    parser.add_argument(
        "--resources",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="for each run; ray: cpus, gpus; slurm: timeout_min, cpus_per_task, slurm_partition, "
        "and whatever else submitit takes",
    )
    parser.add_argument(
        "--search",
        nargs="+",
        default=[],
        metavar="KEY=VALUES",
        help="search for options, such as dreamerv3.optimizer.learning_rate=1e-5..1e-3:log; "
        "--parallel also says how many trials run at once",
    )
    parser.add_argument(
        "--trials", type=_count, default=20, metavar="N", help="of the search (default: 20)"
    )
    parser.add_argument(
        "--objective",
        default="eval/return",
        metavar="METRIC",
        help="what the search makes as large as it can (default: eval/return)",
    )
    parser.add_argument(
        "--search_seed", type=_seed, default=0, metavar="N", help="of the search's proposals"
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
