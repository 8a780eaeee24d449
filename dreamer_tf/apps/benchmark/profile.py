"""Where the time of an update goes: its longest operations, and its phases.

TensorFlow's profiler says which operation ran when. The name of an operation says which phase it
belongs to, because the functions in ``PHASES`` are traced in name scopes; a gradient has the scope
of what it is the gradient of, unless it is written out (``tf.custom_gradient``).
"""

import collections
import functools
import pathlib
import re
import tempfile
import time

import tensorflow as tf

# The profiler writes these; there is no other reader of them in TensorFlow.
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from dreamer_tf.optim import GradientStep

OPERATIONS = 20
PHASES = {
    "world model": ("model_loss", "model_losses"),
    "imagination": ("imagine",),
    "behaviour": ("behavior_losses",),
}
"""Functions of an agent and of its behaviour, of which each agent has some."""
OTHER = "other"
_SCOPES = {phase.replace(" ", "_"): phase for phase in (*PHASES, "optimiser")}
_SCOPE = re.compile("|".join(_SCOPES))


def name_phases(agent):
    """Makes the operations of an update tell their phase; before its first update.

    Args:
      agent: `dreamer_tf.agents.Agent`.
    """
    behavior = getattr(agent, "behavior", None)
    for holder in filter(None, (agent, behavior)):
        for phase, names in PHASES.items():
            _wrap(holder, names, phase)
    if behavior:
        _wrap(behavior, ("update",), "behaviour")
    for module in agent.submodules:
        if isinstance(module, GradientStep):
            _wrap(module, ("apply",), "optimiser")


def _wrap(holder, names, phase):
    for name in names:
        if hasattr(holder, name):
            setattr(holder, name, _scoped(getattr(holder, name), phase.replace(" ", "_")))


def _scoped(function, scope):
    @functools.wraps(function)
    def scoped(*args, **kwargs):
        with tf.name_scope(scope):
            return function(*args, **kwargs)

    return scoped


def profile(update):
    """Profiles one update.

    Args:
      update: `Update` of an agent with `name_phases`, that was run already.

    Returns:
      Dict of ``phases``, the milliseconds that all threads together were busy in each, and for
      ``host`` those of the wall clock in which no operation ran; and ``operations``, the longest
      kinds of them as dicts of ``type``, ``phase``, ``calls`` and ``milliseconds``.
    """
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3, python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, options)
        start = time.perf_counter()
        update()
        seconds = time.perf_counter() - start
        tf.profiler.experimental.stop()
        [path] = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    return summarize(list(_operations(space)), seconds)


def summarize(operations, seconds):
    """What `profile` returns.

    Args:
      operations: List of (name, type, start and length in picoseconds); the length is that of the
        operation itself, without what runs inside of it.
      seconds: What the update took.
    """
    phases = dict.fromkeys((*_SCOPES.values(), OTHER), 0.0)
    kinds = collections.defaultdict(lambda: [0, 0.0])
    for name, kind, _, length in operations:
        scopes = _SCOPE.findall(name)
        phase = _SCOPES[scopes[-1]] if scopes else OTHER
        phases[phase] += length * 1e-9
        kinds[kind, phase][0] += 1
        kinds[kind, phase][1] += length * 1e-9
    longest = sorted(kinds.items(), key=lambda item: -item[1][1])[:OPERATIONS]
    return {
        "phases": phases | {"host": max(0.0, 1e3 * seconds - _covered(operations) * 1e-9)},
        "operations": [
            {"type": kind, "phase": phase, "calls": calls, "milliseconds": total}
            for (kind, phase), (calls, total) in longest
        ],
    }


def _covered(operations):
    """Picoseconds in which any operation ran."""
    covered, end = 0, 0
    for _, _, start, length in sorted(operations, key=lambda operation: operation[2]):
        covered += max(0, start + length - max(start, end))
        end = max(end, start + length)
    return covered


def _operations(space):
    """Yields (name, type, start, own length) of the operations that ran, times in picoseconds."""
    for plane in space.planes:
        if not plane.name.startswith(("/host:CPU", "/device:")):
            continue
        for line in plane.lines:
            running = []
            events = sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps))
            for event in events:
                full = plane.event_metadata[event.metadata_id].name
                name, colon, kind = full.rpartition(":")
                if not colon or not kind.isidentifier() or "::" in full:
                    continue  # The whole call, and what the executor does between operations.
                start = line.timestamp_ns * 1000 + event.offset_ps
                while running and running[-1][2] + running[-1][4] <= start:
                    yield tuple(running.pop()[:4])
                if running:
                    running[-1][3] -= event.duration_ps
                running.append([name, kind, start, event.duration_ps, event.duration_ps])
            while running:
                yield tuple(running.pop()[:4])
