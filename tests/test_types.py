"""What a type checker sees of the public interface: right use passes, wrong use is found."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dreamer_tf"
# Modules that others call: every public function and constructor here says its types.
TYPED = [
    "agents/__init__.py",
    "agents/base.py",
    "apps/api/data.py",
    "apps/api/publishing.py",
    "apps/api/training.py",
    "apps/api/trained.py",
    "config/files.py",
    "config/options.py",
    "config/resolve.py",
    "envs/base.py",
    "envs/checks.py",
    "envs/preview.py",
    "envs/recorded.py",
    "envs/registry.py",
    "envs/vector.py",
    "export/exported_policy.py",
    "replay/prefetch.py",
    "replay/replay.py",
    "replay/samplers.py",
    "runs/log.py",
    "runs/loggers.py",
    "runs/videos.py",
    "runs/writers.py",
    "specs.py",
    "training/callbacks.py",
    "training/sizes.py",
    "training/session.py",
]

USE = """
import dataclasses
import datetime
import pathlib

import numpy as np

import dreamer_tf as dreamer
from dreamer_tf import agents, config, envs, replay, specs
from dreamer_tf.runs.writers import Writer


class Printer(Writer):
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def write(self, env_frames, scalars):
        print(env_frames, scalars)


class Light(envs.Env):
    @property
    def obs_space(self) -> dict[str, specs.Space]:
        return {"light": specs.Space("float32", (3,), -1, np.ones(3))}

    @property
    def act_space(self) -> dict[str, specs.Space]:
        return {"switch": specs.Space(np.int32, high=1)}

    def reset(self, seed: int) -> specs.Row:
        return envs.make_row({"light": np.zeros(3, np.float32)}, is_first=True)

    def step(self, action) -> specs.Row:
        return envs.make_row({"light": np.zeros(3, np.float32)}, 1.0)


class Patience(dreamer.Callback):
    def on_evaluation(self, run, metrics):
        if run.env_frames > 100 and metrics["eval/return"] < 0:
            run.stop("it does not learn")


result = dreamer.train(
    Light,
    ["cpu"],
    "runs/light",
    agent=agents.DreamerV2,
    stop=[900, datetime.timedelta(hours=1), lambda run: run.grad_steps > 10],
    callbacks=[Patience()],
    writers=[Printer],
    quiet=True,
    run={"prefill": 9},
)
last = float(result.curve.ys[-1]) + result.metrics()["train/length"].xs[0]
agent = result.agent
agent = dreamer.load(pathlib.Path("runs/light"), checkpoint="best")
obs = {"light": np.zeros([2, 3]), "is_first": [True, False]}
actions, state = agent.policy(obs)
actions, state = agent.policy(obs, state, mode="eval")
folder, refusal = agent.export("out")
mean: float = dreamer.evaluate("runs/light", 5, video="film.mp4").mean
settings = dataclasses.replace(config.load(["cpu"], {"env.count": 4}).config, seed=1)
made = agents.make(settings, Light().obs_space, Light().act_space)
with envs.VectorEnv([Light, lambda: envs.make("dmc_cup_catch")], seed=0) as side_by_side:
    rows = side_by_side.step({"switch": np.zeros(2, np.int32)}, [True, True])
    spaces = specs.row_spaces(side_by_side.obs_space, side_by_side.act_space)
store = replay.Replay("replay", spaces, capacity=9, seed=0, sampler=replay.UniformStarts())
store.add(Light().reset(0), stream=0)
light = store.sample(batch_size=2, length=3).rows["light"].mean()
print(envs.check_env(Light).upper(), config.read("runs/light").steps + 1)
"""
"""Right use, which the checker must not complain of."""

WRONG = [
    'dreamer.train(Light, "cpu", stepps=3).agent.policy()',
    'dreamer.train(Light, steps="many")',
    "dreamer.train(Light, writers=[Light])",
    "dreamer.train(Light, callbacks=[Printer])",
    'dreamer.train(Light, stop="soon")',
    "dreamer.train(Light).policy(obs)",
    "dreamer.load(3)",
    "dreamer.load()",
    "dreamer.lode('runs/light')",
    'dreamer.evaluate("runs/light", episode=5)',
    'dreamer.evaluate("runs/light").means',
    "agent.policy()",
    'agent.policy(obs, mode="test")',
    "agent.policy(obs, {})",
    "agent.obs_space + 1",
    'agent.export("out", lite=True)',
    'agents.make("cpu", Light().obs_space, Light().act_space)',
    'config.load(["cpu"]).steps',
    'config.load(["cpu"]).config.stepps',
    "config.save(settings)",
    'envs.make("dmc_cup_catch", (64, 64))',
    "envs.check_env(Light)()",
    "envs.VectorEnv(Light, seed=0)",
    "envs.Env()",
    "Light().reset()",
    'replay.Replay("replay", spaces, seed=0)',
    'replay.Replay("replay", spaces, capacity=9, seed=0, sampler="uniform")',
    "store.sample(2)",
    'store.sample(2, 3)["light"]',
    "specs.Space(np.float32, 3)",
    "Writer().write({})",
]
"""Wrong uses, each a statement after those of `USE`; the checker must complain of every one."""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """(file, line) to what the checker says of it; checked as a module of somebody else's."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "right.py").write_text(USE, encoding="utf-8")
    (folder / "wrong.py").write_text("\n".join([USE, *WRONG, ""]), encoding="utf-8")
    command = [sys.executable, "-m", "mypy"]
    files = [str(folder / "right.py"), str(folder / "wrong.py")]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"([^\s:]+):(\d+): error: (.+)", done.stdout)
    return {(pathlib.Path(file).name, int(line)): text for file, line, text in found}


def test_right_use_passes(complaints):
    assert not {place: text for place, text in complaints.items() if place[0] != "wrong.py"}


def test_every_wrong_use_is_found(complaints):
    first = USE.count("\n") + 2
    lines = {place[1] for place in complaints if place[0] == "wrong.py"}
    assert [wrong for line, wrong in enumerate(WRONG, first) if line not in lines] == []
    assert min(lines) == first


@pytest.mark.parametrize("file", TYPED)
def test_public_functions_say_their_types(file):
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    public = [node for node in tree.body if not node.__dict__.get("name", "").startswith("_")]
    functions = [node for node in public if isinstance(node, ast.FunctionDef)]
    for node in public:
        if isinstance(node, ast.ClassDef):
            methods = [f for f in node.body if isinstance(f, ast.FunctionDef)]
            functions += [f for f in methods if f.name == "__init__" or f.name[0] != "_"]
    silent = [f"{f.lineno}: {f.name}" for f in functions if not _says_its_types(f)]
    assert functions and not silent, silent


def _says_its_types(function):
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return function.returns and all(a.annotation for a in names if a.arg not in ("self", "cls"))
