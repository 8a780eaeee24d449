"""`train`, and what it returns."""

import dataclasses
import datetime
import functools
import json
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamer_tf.apps.report.document import write_at_end
from dreamer_tf.apps.report.metrics_file import Series, read_metrics
from dreamer_tf.common import own_name
from dreamer_tf.config import Resolved, load_suitable
from dreamer_tf.config import load as load_config
from dreamer_tf.envs import Vectorized
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.machine import quiet_tensorflow
from dreamer_tf.runs.writers import Writer
from dreamer_tf.training import session
from dreamer_tf.training.callbacks import Callback, Run, stop_when
from dreamer_tf.training.opening import UNNAMED

if TYPE_CHECKING:  # At run time this module does without TensorFlow.
    from dreamer_tf.agents import Agent

Stop = float | datetime.timedelta | Callable[[Run], bool]
"""A return, a time, or a function of the `Run` that says whether it is enough."""


@dataclasses.dataclass(frozen=True)
class Result:
    """A run that has ended.

    Attributes:
      agent: The trained `dreamer_tf.agents.Agent`.
      logdir: The run folder.
      stopped: Why it ended before all frames were collected, as a sentence; None: they are.
    """

    agent: "Agent"
    logdir: pathlib.Path
    stopped: str | None = None

    @classmethod
    def of(cls, run: Run) -> "Result":
        """The result of a run that has ended."""
        is_whole = run.env_frames >= run.config.steps
        return cls(run.agent, run.logdir, None if is_whole else run.stopped)

    @property
    def curve(self) -> Series:
        """The learning curve: mean returns ``ys`` of the evaluations at ``xs`` env_frames.

        Of the training episodes where ``run.eval_every`` is 0. As ``scores.json`` has it.
        """
        path = self.logdir / "scores.json"
        if not path.is_file():  # There was none yet.
            return Series(np.zeros(0, np.int64), np.zeros(0))
        [entry] = json.loads(path.read_text(encoding="utf-8"))
        return Series(np.array(entry["xs"], np.int64), np.array(entry["ys"], np.float64))

    def metrics(self) -> dict[str, Series]:
        """What the run logged, from its first start on: name, see docs/metrics.md, to `Series`."""
        starts = json.loads((self.logdir / "info.json").read_text(encoding="utf-8"))
        return read_metrics(self.logdir / "metrics.jsonl", starts).series


def train(
    env: Any | Callable[[], Any] | str | None = None,
    configs: Sequence[str] = (),
    logdir: str | os.PathLike | None = None,
    steps: int | None = None,
    *,
    agent: "type[Agent] | str | None" = None,
    stop: Stop | Sequence[Stop] | None = None,
    callbacks: Sequence[Callback] = (),
    writers: Sequence[Callable[[pathlib.Path], Writer]] = (),
    quiet: bool = False,
    **overrides: Any,
) -> Result:
    """Trains an agent, or continues the run that is in the folder already.

    Args:
      env: A function without arguments that makes an environment, or an environment object, that
        follows the gymnasium API; or the name of a task; None for the config's task. Score files
        call it by its own name; ``task`` among the overrides is another one.
      configs: Names of presets, applied from left to right over the defaults. Where an environment
        is given, but neither presets nor the name of an agent nor a folder with a run: DreamerV3,
        in a size that suits the machine, which the run's first lines name.
      logdir: Run folder; None for a new one under ``runs/``.
      steps: env_frames to collect in all; None for the config's.
      agent: Its name, or a class of one's own, such as a subclass of
        `dreamer_tf.agents.DreamerV3`; None for the config's.
      stop: What ends the run earlier: a return (of an evaluation; in a run without any, the mean of
        the last ten training episodes), a ``datetime.timedelta``, or a function of the `Run`,
        called after every episode, evaluation and log interval, that returns whether it is enough;
        or a list of these. The run is saved, and the same folder continues it.
      callbacks: `dreamer_tf.Callback` objects, told of what happens; they may stop the run. An
        error of theirs ends it, when everything is saved.
      writers: Further places for metrics and videos, such as a logger of one's own: functions of
        the run folder that return a `dreamer_tf.runs.writers.Writer`, its class for example. If
        one fails, that is told, and the run goes on without it.
      quiet: Whether nothing goes to the terminal. What would be told there goes to the logger
        ``dreamer_tf.runs.terminal``, at level ``INFO``.
      **overrides: Further options, nested (``run={"prefill": 1000}``) or dotted
        (``**{"run.prefill": 1000}``).

    Returns:
      A `Result`.

    Raises:
      ConfigError: A preset or option does not exist, or does not fit.
      EnvError: The environment cannot be used.
      RunFolderInUse: Another trainer works in the folder.
    """
    quiet_tensorflow()
    env, resolved = prepare(env, configs, logdir, steps, agent, overrides)
    run = session.run(
        resolved,
        env,
        agent=None if isinstance(agent, str) else agent,
        callbacks=[*callbacks, *stop_when(stop)],
        writers=writers,
        quiet=quiet,
        at_end=[write_at_end],
    )
    return Result.of(run)


def prepare(
    env: Any,
    configs: Sequence[str],
    logdir: str | os.PathLike | None,
    steps: int | None,
    agent: "type[Agent] | str | None",
    overrides: dict[str, Any],
    *,
    has_data: bool = False,
) -> tuple[Any, Resolved]:
    """Reads what `train` and `fit` are given.

    Args:
      env: As for `train`, and so on.
      configs: Likewise.
      logdir: Likewise.
      steps: Likewise.
      agent: Likewise.
      overrides: Likewise.
      has_data: Whether there is something to learn from without an environment.

    Returns:
      The environment or its constructor, if it is no task by name, and the `config.Resolved`.
    """
    overrides = dict(overrides)
    logdir = None if logdir is None else os.path.expanduser(logdir)
    continues = logdir is not None and run_folder.has_run(logdir)
    nothing_said = not configs and not continues and _may_be_sized(agent)
    suitable = nothing_said and (env is not None or has_data)
    if isinstance(env, str):
        overrides["task"], env = env, None
    if env is not None:
        overrides.setdefault("task", _name(env))
    if agent is not None:
        overrides["agent"] = agent if isinstance(agent, str) else own_name(agent)
    if logdir is not None:
        overrides["logdir"] = logdir
    if steps is not None:
        overrides["steps"] = steps
    return env, load_suitable(overrides) if suitable else load_config(configs, overrides)


def _may_be_sized(agent):
    """Whether the presets that are chosen for a machine are meant for this agent."""
    if agent is None or isinstance(agent, str):
        return agent is None
    from dreamer_tf.agents import DreamerV3

    return issubclass(agent, DreamerV3)


def _name(env):
    """What to call the task of a user's environment in score files."""
    if isinstance(env, Vectorized):
        env = env.make
    while isinstance(env, functools.partial):
        env = env.func
    # Of an object the name that it is registered by, not that of its outermost wrapper.
    registered = getattr(getattr(env, "spec", None), "id", None)
    inner = env if callable(env) else getattr(env, "unwrapped", env)
    name = registered or getattr(inner, "__name__", type(inner).__name__)
    return UNNAMED if name == "<lambda>" else re.sub(r"\W+", "_", name)
