"""From a benchmark to the commands of its runs."""

import dataclasses
import fnmatch
import os
import pathlib
import sys
import typing

from dreamer_tf import config as configs
from dreamer_tf.apps.sweep.benchmarks import Benchmark
from dreamer_tf.common import nearest
from dreamer_tf.config.options import text
from dreamer_tf.runs.run_folder import continue_config, has_run, is_owing, saved_frames

_SET_HERE = {"task": "--tasks", "seed": "--seeds", "logdir": "--logdir"}


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
      task: Name of the task.
      seed: Its seed.
      folder: Its run folder.
      steps: env_frames that it is to collect.
      words: Arguments of ``train``.
    """

    task: str
    seed: int
    folder: pathlib.Path
    steps: int
    words: tuple[str, ...]

    @property
    def name(self):
        """How messages call it."""
        return f"{self.task} seed {self.seed}"

    @property
    def command(self):
        """The words of the command that runs it, or continues it where it stopped."""
        return [sys.executable, "-m", "dreamer_tf.apps.train", *self.words]

    @property
    def is_finished(self):
        """Whether all frames are collected and saved, and nothing is due any more."""
        return saved_frames(self.folder) >= self.steps and not is_owing(self.folder)


def plan(
    benchmark: Benchmark,
    logdir: str | os.PathLike,
    *,
    tasks: typing.Sequence[str] = (),
    seeds: typing.Sequence[int] | None = None,
    presets: typing.Sequence[str] = (),
    overrides: typing.Sequence[str] = (),
) -> list[Job]:
    """The runs of a benchmark, seed by seed, so that a first result of all tasks comes early.

    Args:
      benchmark: What to run.
      logdir: Folder of the sweep; a run's is ``<task>/seed<n>`` below it.
      tasks: Patterns such as ``dmc_walker_*``; empty: all.
      seeds: Which seeds; None: as many as the benchmark has, from 0.
      presets: In place of the benchmark's; empty: these.
      overrides: Further words of the command line of ``train``.

    Returns:
      One `Job` for each seed and task.

    Raises:
      ConfigError: If a preset or override does not fit, is another agent's or what the sweep
        sets, or a pattern fits no task, or a run was begun with other options.
    """
    presets = list(presets or benchmark.presets)
    _refuse_what_is_set_here(overrides)
    resolved = configs.load(presets, list(overrides))
    if unread := configs.unread_options(resolved, resolved.config.agent):
        raise configs.ConfigError(unread)  # Runs that differ in it would be the same.
    seeds = range(benchmark.seeds) if seeds is None else list(dict.fromkeys(seeds))
    jobs = []
    for seed in seeds:
        for task in _choose(benchmark.tasks, tasks):
            folder = pathlib.Path(logdir) / task / f"seed{seed}"
            own = ["--task", task, "--seed", str(seed), "--logdir", str(folder)]
            words = ("--configs", *presets, *own, *overrides)
            _refuse_other_options(words, folder)
            jobs.append(Job(task, seed, folder, resolved.config.steps, words))
    return jobs


def _refuse_other_options(words, folder):
    """A finished run would keep the options that it had, and count as one with these."""
    if not has_run(folder):
        return
    planned = configs.parse_args(words)
    # A run keeps its options where none are given; here those not given are the defaults.
    whole = configs.Resolved(planned.config, dict.fromkeys(planned.origins, "sweep"))
    _, changes = continue_config(whole, folder)
    for key, old, new in changes:
        if key != "steps":
            old, new = (text(value) or "''" for value in (old, new))
            raise configs.ConfigError(
                f"{folder} was begun with {key} {old}, not {new}; give --{key} {old} again, or "
                f"choose another --logdir"
            )


def _choose(known, patterns):
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            near = nearest(pattern, known) or known
            raise configs.ConfigError(
                f"no task of this benchmark is {pattern!r}; did you mean {' or '.join(near)}?"
            )
    chosen = {task for pattern in patterns or ["*"] for task in fnmatch.filter(known, pattern)}
    return [task for task in known if task in chosen]


def _refuse_what_is_set_here(overrides):
    for word in overrides:
        name = word.removeprefix("--").partition("=")[0]
        if word.startswith("--") and name in _SET_HERE:
            raise configs.ConfigError(
                f"--{name} is set for each run by the sweep; use {_SET_HERE[name]}"
            )
