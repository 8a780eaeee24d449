"""The measure of the house: how far a reader walks through the files. ``python -m tests.house``.

A run of a tiny DreamerV3 is watched, from ``scripts/train.py`` to the end of its first update: the
presets ``dreamerv3_gym debug``, and an environment with a vector and an image that lives in this
process (``env.workers: inline``). The watcher sees every call of a function of the package, in
every thread. Bodies of modules and classes are no calls: a file does not count for being imported,
but for what is done in it. Compiled functions are seen, because they are traced here.

What the figures count:

one update, in all
    Files with a function on the stack when `Agent.train_step` is called (the command, the
    session, the loop, the learner), or called while one of `WINDOWS` is open: the config is read,
    the agent is built, the replay is opened, a batch is drawn and the update is made. What a run
    sets up beside that, such as its environments, checkpoints and logs, does not count.
one update, to understand
    Files with a function called within `Agent.train_step` in the rooms agents, world_model,
    behaviors and optim: the algorithm.
one update, blocks
    Likewise, in the rooms nn, ops and distributions.
one environment step
    Files with a function called within the first `Driver.step` that asks the policy, in all
    rooms but nn, ops and distributions. The agent is built by then.
one environment step, without envs
    The same without the room envs, most of which runs in other processes (``env.workers:
    process``, the default).
functions from policy to actor
    Functions of the package on the stack between `Agent.policy` and the ``call`` of the network
    named actor; those two do not count.
options that repeat
    Declarations in ``dreamer_tf/config`` whose name, type and meaning a declaration in another
    class has too; every one of them counts.
preset values that repeat
    Values in ``configs/`` that another file gives the same option; every one of them counts.
"""

import ast
import collections
import gc
import inspect
import os
import pathlib
import runpy
import sys
import tempfile
import threading

import gymnasium
import numpy as np
from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dreamer_tf"
ALGORITHM = {"agents", "world_model", "behaviors", "optim"}
BLOCKS = {"nn", "ops", "distributions"}
WINDOWS = {
    "parse_args": "config/",
    "make": "agents/",
    "make_replay": "",
    "Learner.update": "",
}
"""Functions whose first call is on the way of an update with all that is called within it, and how
their file's name begins."""
NO_OPTIONS = {"base"}  # Keys of a preset that say what it builds on.
_PREFIX = f"{PACKAGE}{os.sep}"
TASK = "House-v0"
COMMAND = f"""
    --configs dreamerv3_gym debug --task gymnasium_{TASK} --env.workers inline --env.count 1
    --env.image_size 16,16 --run.prefill 0 --run.eval_every 0 --run.train_every 1
""".split()


class Room(gymnasium.Env):
    """A vector and an image, and an action that changes nothing."""

    observation_space = gymnasium.spaces.Dict(
        vector=gymnasium.spaces.Box(-1, 1, (3,)),
        image=gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8),
    )
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, seed=None, options=None):
        """Begins an episode without end."""
        return self.observation_space.sample(), {}

    def step(self, action):
        """Goes on."""
        return self.observation_space.sample(), 0.0, False, False, {}


class _Enough(BaseException):
    """The update is done; the run need not go on."""


class Watcher:
    """Notes which functions of the package are called; made for ``sys.settrace``.

    Attributes:
      run: Files called so far, in order, as the keys of a dict.
      update: Those on the way of the update.
      algorithm: Those within `Agent.train_step`.
      step: Those within the first `Driver.step` that asks the policy.
      way: Functions between `Agent.policy` and the actor's ``call``, in order.
      windows: Those of `WINDOWS` that were seen to open.
    """

    def __init__(self):
        self.run, self.update, self.algorithm, self.step, self.way = {}, {}, {}, {}, []
        self.windows = set()
        self._files = {}  # Code object to its file in the package; None: not ours.
        self._open = None  # The frame of a window.
        self._driver_step = self._train_step = None
        self._asked = False

    def __call__(self, frame, event, _):
        """Notes a call; returns itself where the return of the frame matters, too."""
        code = frame.f_code
        if code not in self._files:
            self._files[code] = _file_of(code)
        if self._files[code] is None:
            return None
        if event == "call":
            return self if self._called(frame, self._files[code]) else None
        if event == "return":
            self._returned(frame)
        return self

    def _called(self, frame, file):
        frame.f_trace_lines = False
        name, ends = frame.f_code.co_qualname, True
        if name in WINDOWS and name not in self.windows and file.startswith(WINDOWS[name]):
            self._open = frame
            self.windows.add(name)
        elif name == "Driver.step" and not self._asked:
            self._driver_step, self.step = frame, {}
        elif name.endswith(".train_step") and self._train_step is None:
            self._train_step = frame
            self.update |= dict.fromkeys(file for file, _ in self._stack(frame))
        else:
            ends = False
        if name == "Agent.policy":
            self._asked = True
        elif name.endswith(".call") and self._asked and not self.way and _is_actor(frame):
            self.way = self._since_policy(frame)
        self.run[file] = None
        if self._open:
            self.update[file] = None
        # What other threads do meanwhile is no part of these two.
        is_ours = threading.current_thread() is threading.main_thread()
        if self._train_step and is_ours:
            self.algorithm[file] = None
        if self._driver_step and is_ours:
            self.step[file] = None
        return ends

    def _returned(self, frame):
        if frame is self._open:
            self._open = None
        elif frame is self._driver_step:
            self._driver_step = None
        elif frame is self._train_step:
            raise _Enough

    def _stack(self, frame):
        """(file, function) of the package's functions on the stack above ``frame``."""
        while frame := frame.f_back:
            if file := self._files.get(frame.f_code):
                yield file, frame.f_code.co_qualname

    def _since_policy(self, frame):
        names = [name for _, name in self._stack(frame)]
        return names[: names.index("Agent.policy")][::-1]


def _is_actor(frame):
    return getattr(frame.f_locals.get("self"), "name", None) == "actor"


def _file_of(code):
    """The file of a function of the package, relative to it; None for all other code."""
    if not code.co_filename.startswith(_PREFIX) or not code.co_flags & inspect.CO_OPTIMIZED:
        return None
    return code.co_filename.removeprefix(_PREFIX)


def watch_an_update():
    """Trains until the first update is done; returns the `Watcher`."""
    gymnasium.register(TASK, Room)
    watcher, words = Watcher(), sys.argv
    traces = sys.gettrace(), threading.gettrace()
    gc.collect()  # So that no object from before ends, and is counted, within the step.
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["train.py", *COMMAND, "--logdir", folder + "/run"]
        threading.settrace(watcher)
        sys.settrace(watcher)
        try:
            runpy.run_path(str(ROOT / "scripts" / "train.py"), run_name="__main__")
        except _Enough:
            pass
        finally:
            sys.settrace(traces[0])
            threading.settrace(traces[1])
            sys.argv = words
            gymnasium.registry.pop(TASK)
    missed = WINDOWS.keys() - watcher.windows
    if missed or not watcher.way:
        raise RuntimeError(f"never called: {', '.join(missed) or 'the actor by the policy'}")
    return watcher


def repeated_options():
    """(class, name) of the options whose name, type and meaning another declaration has too."""
    found = collections.defaultdict(list)
    for path in sorted((PACKAGE / "config").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            for field in node.body:
                call = getattr(field, "value", None)
                if isinstance(field, ast.AnnAssign) and isinstance(call, ast.Call):
                    if ast.unparse(call.func).rpartition(".")[2] != "option":
                        continue
                    texts = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "text")]
                    parts = (field.target, field.annotation, *texts)
                    found[tuple(map(ast.unparse, parts))].append((node.name, field.target.id))
    return [place for places in found.values() if len(places) > 1 for place in places]


def preset_values():
    """(preset, option, value as text) of every value that stands in a file of ``configs/``.

    But for ``debug``, whose values are the smallest that work, and others' by chance.
    """
    for path in sorted(set((ROOT / "configs").rglob("*.yaml")) - {ROOT / "configs/debug.yaml"}):
        tree = YAML(typ="safe", pure=True).load(path) or {}
        tree = {key: value for key, value in tree.items() if key not in NO_OPTIONS}
        yield from ((path.stem, key, repr(value)) for key, value in _leaves(tree))


def _leaves(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def repeated_values():
    """Those of `preset_values` that another file has too."""
    values = list(preset_values())
    files = collections.Counter((key, value) for _, key, value in values)
    return [(preset, key) for preset, key, value in values if files[key, value] > 1]


def sources():
    """The Python files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def _room(file):
    return file.partition("/")[0].removesuffix(".py")


def measure(watcher):
    """Dict of figure to what it counts, lists but for the last: a number."""
    algorithm, step = watcher.algorithm, watcher.step
    step = [file for file in step if _room(file) not in BLOCKS]
    return {
        "one update, in all": list(watcher.update),
        "one update, to understand": [file for file in algorithm if _room(file) in ALGORITHM],
        "one update, blocks": [file for file in algorithm if _room(file) in BLOCKS],
        "one environment step": step,
        "one environment step, without envs": [file for file in step if _room(file) != "envs"],
        "functions from policy to actor": watcher.way,
        "options that repeat": repeated_options(),
        "preset values that repeat": repeated_values(),
        "files of dreamer_tf": sources(),
        "lines of dreamer_tf": sum(len(path.read_text("utf-8").splitlines()) for path in sources()),
    }


def main():
    """Prints the table; with ``--list`` also what is counted."""
    figures = measure(watch_an_update())
    print("| what | count |\n| --- | --- |")
    for name, counted in figures.items():
        print(f"| {name} | {counted if isinstance(counted, int) else len(counted):,} |")
    if "--list" in sys.argv:
        for name in list(figures)[:6]:
            print(f"\n{name}:", *figures[name], sep="\n  ")


if __name__ == "__main__":
    main()
