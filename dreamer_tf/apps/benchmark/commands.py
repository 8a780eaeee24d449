"""The command ``benchmark``: how fast a preset runs on this machine, as a table and as JSON.

``measurements.py`` takes the measurements; ``docs/performance.md`` says what each figure is.
Modules that import TensorFlow are imported inside functions: its import is part of what is
measured, beside the start of the environments.
"""

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import shlex
import sys
import tempfile
import time
from typing import NamedTuple

import psutil
from rich.table import Table

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf import specs
from dreamer_tf.apps.benchmark import suite
from dreamer_tf.apps.benchmark.suite import text_of
from dreamer_tf.apps.commands import exit_codes
from dreamer_tf.common import write_json
from dreamer_tf.config.program import program_name
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.machine import keep_freed_memory, machine, quiet_tensorflow
from dreamer_tf.training import session
from dreamer_tf.training.hosts import start_team

DESCRIPTION = (
    "Measures how fast a preset runs on this machine, in about two minutes, and prints and saves "
    "the figures. Options of its own: --updates N, how many updates to time (default: 5); "
    "--seconds S, how long to measure each other figure, five times as long for acting and "
    "learning together (default: 2); --out FILE, where to save (default: a new JSON file under "
    "runs/); --profile, also where the time of an update goes. --suite takes no options of a run: "
    "it measures the presets that have goals, one after the other, and says which are reached."
)
BUSY = 0.5
"""1-minute load average from which something else must be running."""


class Figure(NamedTuple):
    """A line of the table.

    Attributes:
      key: Place in the result, ``section.name``.
      label: What it is.
      unit: Unit that is shown.
      scale: How many of that unit are one of the result's.
    """

    key: str
    label: str
    unit: str = ""
    scale: float = 1.0


FIGURES = (
    Figure("start.ready_seconds", "libraries and environments ready, after", "s"),
    Figure("start.built_seconds", "agent built, after", "s"),
    Figure("start.first_update_seconds", "first update done, after", "s"),
    Figure("update.median_seconds", "update, median", "s"),
    Figure("update.min_seconds", "update, fastest", "s"),
    Figure("update.max_seconds", "update, slowest", "s"),
    Figure("update.count", "updates timed"),
    Figure("replicas.devices", "devices that share an update"),
    Figure("replicas.median_seconds", "such an update, median", "s"),
    Figure("replicas.bytes_reduced", "gradients reduced for it", "MB", 1e-6),
    Figure("replicas.speedup", "one device's time over it"),
    Figure("replicas.efficiency", "that for each device"),
    Figure("arithmetic.flops", "arithmetic of an update", "GFLOP", 1e-9),
    Figure("arithmetic.flops_per_second", "rate of the update", "GFLOP/s", 1e-9),
    Figure("arithmetic.matmul_flops_per_second", "rate of a matrix product", "GFLOP/s", 1e-9),
    Figure("arithmetic.floor_seconds", "update at that rate: the floor", "s"),
    Figure("arithmetic.ratio_to_floor", "update, in floors"),
    Figure("policy.batch_size", "environments side by side"),
    Figure("policy.train_seconds", "policy, training", "ms", 1e3),
    Figure("policy.eval_seconds", "policy, evaluation", "ms", 1e3),
    Figure("replay.batches_per_second", "replay, batches", "1/s"),
    Figure("replay.rows_per_second", "replay, rows", "1/s"),
    Figure("replay.rows", "rows in the replay"),
    Figure("replay.bytes", "size of the replay", "MB", 1e-6),
    Figure("environment.step_with_images_seconds", "environment step with images", "ms", 1e3),
    Figure("environment.step_without_images_seconds", "environment step without images", "ms", 1e3),
    Figure("environment.render_seconds", "one picture", "ms", 1e3),
    Figure("training.frames_per_second", "acting and learning, env_frames", "1/s"),
    Figure("training.env_frames", "env_frames played for it"),
    Figure("training.grad_steps", "updates made for it"),
    Figure("memory.peak_rss_bytes", "memory, most ever", "MB", 1e-6),
    Figure("memory.rss_bytes", "memory after training", "MB", 1e-6),
    Figure("memory.rss_anon_bytes", "of it, backed by no file", "MB", 1e-6),
    Figure("memory.workers_rss_bytes", "memory of the environments' workers", "MB", 1e-6),
)


def benchmark(argv=None):
    """Measures, prints and saves: ``--configs NAME ... --key value ... --updates N ...``.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--updates", type=_count, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--suite", action="store_true")
    own, rest = parser.parse_known_args(argv)
    with exit_codes():
        if own.suite:
            return _suite(own, rest)
        resolved = configs.parse_args(rest, DESCRIPTION)
        quiet_tensorflow()
        path = own.out or _default_path(resolved.config)
        _require_place(path)
        result = run(resolved, own.updates, own.seconds, own.profile)
        _show_and_save(render(result), path, result)


def _suite(own, rest):
    if rest or own.profile:
        raise configs.ConfigError(
            f"--suite measures presets of its own and takes --updates, --seconds and --out alone; "
            f"got {shlex.join([*rest, *(['--profile'] if own.profile else [])])}"
        )
    path = own.out or pathlib.Path("runs") / f"suite-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    _require_place(path)
    result = suite.run(own.updates, own.seconds)
    _show_and_save(suite.render(result), path, result)


def _require_place(path):
    """Refuses, before minutes are spent, a path where the figures could not be saved."""
    if path.exists() and not path.is_file():
        raise configs.ConfigError(f"--out takes the path of a file; {path} is something else")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise configs.ConfigError(f"--out {path} cannot be written: {error.strerror}") from error


def _show_and_save(text, path, result):
    try:
        print(text, end="", flush=True)
    finally:  # Where nobody reads, too.
        write_json(path, result)
    print(f"saved in {path}")


def run(resolved, updates, seconds, with_profile=False):
    """Measures a config.

    Args:
      resolved: `config.Resolved`.
      updates: How many updates to time.
      seconds: How long to measure each other figure.
      with_profile: Whether to look into an update.

    Returns:
      A dict that JSON can hold: the sections of ``FIGURES``, and what they were measured on; with a
      profile also ``profile``, see `profile.profile`.

    Raises:
      ConfigError: If the agent does not learn.
      EnvError: If the task's environment cannot be used.
    """
    env = dataclasses.replace(resolved.config.env, workers="process")
    config, load, start = dataclasses.replace(resolved.config, env=env), os.getloadavg()[0], {}
    notes = _notes_on_load(load)
    keep_freed_memory()
    with contextlib.ExitStack() as stack:
        _say("start")
        vector_env = stack.enter_context(session.start_envs(config))
        start["ready_seconds"] = process_age()
        from dreamer_tf.training.precision import make_settled_agent

        team = start_team(config, None, stack, _say)
        settled, agent = make_settled_agent(
            configs.Resolved(config, resolved.origins),
            *(vector_env.obs_space, vector_env.act_space),
            _say,
        )
        config = settled.config
        if not agent.parameter_counts():
            raise configs.ConfigError(
                f"the agent {config.agent!r} does not learn: there is no update to measure"
            )
        start["built_seconds"] = process_age()
        from dreamer_tf.apps.benchmark import measurements, profile

        if with_profile:
            profile.name_phases(agent)
        update = measurements.Update(agent, config.replay.batch_size, config.replay.batch_length)
        update()
        start["first_update_seconds"] = process_age()
        _say(f"{updates} updates")
        sections = {"update": measurements.updates(update, updates)}
        if team:
            _say(f"{updates} updates on {config.run.devices} devices")
            sections["replicas"] = measurements.replicated(
                team,
                agent,
                config,
                session.make_agent,
                update,
                sections["update"]["median_seconds"],
                updates,
            )
        if with_profile:
            _say("profile")
            sections["profile"] = profile.profile(update)
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sections |= _measure(config, agent, vector_env, folder, seconds, notes)
        # Last, because its matrices and its trace are no part of a run's memory.
        _say("arithmetic")
        sections["arithmetic"] = measurements.arithmetic(
            update, sections["update"]["median_seconds"]
        )
    return {**describe(settled, load), "notes": notes, "start": start, **sections}


def _measure(config, agent, vector_env, folder, seconds, notes):
    """The sections of acting, of the replay, and of the whole."""
    from dreamer_tf.apps.benchmark import measurements

    _say("policy")
    sections = {"policy": measurements.policy(agent, len(vector_env), seconds)}
    _say("replay")
    replay = session.make_replay(config, folder, agent)
    spaces = specs.row_spaces(agent.obs_space, agent.act_space) | replay.carry_space
    steps = measurements.episode_steps(config, vector_env.frames_per_step)
    measurements.fill(replay, spaces, steps)
    sections["replay"] = measurements.replay_sampling(
        replay, config.replay.batch_size, config.replay.batch_length, seconds
    )
    _say("environment")
    sections["environment"] = measurements.environment(config, notes, seconds)
    _say("acting and learning")
    sections["training"] = measurements.training(
        agent, vector_env, replay, config, folder, 5 * seconds
    )
    sections["memory"] = measurements.memory_use()
    return sections


def process_age():
    """Seconds since this process started, the start of the interpreter included."""
    if sys.platform != "linux":
        return time.time() - psutil.Process().create_time()
    # psutil's time rests on the system's start in whole seconds, so it may be a second off.
    stat = pathlib.Path("/proc/self/stat").read_text(encoding="ascii")
    ticks = int(stat.rpartition(")")[2].split()[19])  # Field 22, "starttime"; 3 follows the name.
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def describe(resolved, load):
    """What is measured, and on what: options, versions and machine.

    Args:
      resolved: `config.Resolved`.
      load: Load average before the measurement.
    """
    import tensorflow as tf

    config = resolved.config
    packages = ("tensorflow", "keras", "numpy")
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "task": config.task,
        "agent": config.agent,
        "precision": config.precision,
        "jit": config.jit,
        "batch": [config.replay.batch_size, config.replay.batch_length],
        "options": resolved.given(),
        "dreamer_tf": dreamer_tf.__version__,
        "git": run_folder.git_commit(pathlib.Path(dreamer_tf.__file__).parent.parent),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "machine": {
            **machine(),
            # 0: TensorFlow's own choice, one for each core.
            "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
            "nice": psutil.Process().nice(),
        },
        "load_average": load,
    }


def _notes_on_load(load):
    if load < BUSY:
        return []
    note = (
        f"Load average {load:.2f} at the start: something else is running, or was a moment ago. "
        f"These times may be too long."
    )
    print(f"{program_name()}: {note}", file=sys.stderr)
    return [note]


def render(result):
    """A result as text.

    Args:
      result: What ``run`` returned, or the saved file.
    """
    machine = result["machine"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    section = None
    for figure in FIGURES:
        name, _, key = figure.key.partition(".")
        if name not in result:
            continue  # One device alone.
        if section not in (None, name):
            table.add_row()
        section = name
        table.add_row(figure.label, _number(result[name][key], figure.scale), figure.unit)
    size, length = result["batch"]
    lines = [
        f"{result['task']}, agent {result['agent']}, {result['precision']}, "
        f"batch {size} × {length}",
        f"{machine['cpu']}, {machine['usable_cores']} of {machine['cores']} cores, "
        f"GPUs: {', '.join(machine['gpus']) or 'none'}, "
        f"TensorFlow {result['packages']['tensorflow']}",
        "",
        text_of(table),
        *(_profile_lines(result["profile"]) if "profile" in result else []),
        *([""] if result["notes"] else []),
        *result["notes"],
    ]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _profile_lines(profile):
    phases, operations = (Table(box=None, pad_edge=False, header_style="bold") for _ in range(2))
    phases.add_column("phase of an update")
    phases.add_column("busy, ms", justify="right")
    for phase, milliseconds in profile["phases"].items():
        phases.add_row(phase, f"{milliseconds:,.1f}")
    for name in ("operation", "of", "calls", "ms"):
        operations.add_column(name, justify="left" if name in ("operation", "of") else "right")
    for row in profile["operations"]:
        numbers = f"{row['calls']:,}", f"{row['milliseconds']:,.1f}"
        operations.add_row(row["type"], row["phase"], *numbers)
    return ["", text_of(phases), "", text_of(operations)]


def _number(value, scale):
    if value is None:
        return "–"
    value *= scale
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3g}"


def _default_path(config):
    folder = run_folder.default_folder(config)
    return folder.with_name(f"{folder.name}.benchmark.json")  # A task's name may hold a dot.


def _count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def _say(text):
    print(f"measuring: {text}", file=sys.stderr, flush=True)
