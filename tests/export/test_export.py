"""Exports act as the agents that they are made of, and need TensorFlow alone."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.export import checks, litert, onnx
from dreamer_tf.export.draws import FedDraws
from dreamer_tf.export.errors import ExportError
from dreamer_tf.export.functions import ExportedFunctions
from dreamer_tf.export.native_actions import NativeActions
from dreamer_tf.export.saved_model import Names, Policy
from dreamer_tf.specs import Space, space_from_json
from dreamer_tf.world_model import get_feat

OBS_SPACE = {"image": Space(np.uint8, (16, 16, 3)), "robot/arm": Space(np.float32, (3,))}
BOX = {"action": Space(np.float32, (2,), -1, 1)}
NATIVE_BOX = {"action": Space(np.float32, (2,), [-2, 0], [2, 10])}
CATEGORY = {"action": Space(np.int32, (), 0, 3)}
NATIVE_CATEGORY = {"action": Space(np.int32, (), 5, 8)}
SEVERAL = BOX | {"shift": Space(np.int32, (), 0, 2)}
NATIVE_SEVERAL = NATIVE_BOX | {"shift": Space(np.int32, (), -1, 1)}
SPACES = {
    "planet": (BOX, NATIVE_BOX),
    "dreamer": (BOX, NATIVE_BOX),
    "dreamerv2": (CATEGORY, NATIVE_CATEGORY),
    "dreamerv3": (SEVERAL, NATIVE_SEVERAL),
}
ROWS, STEPS, HORIZON = 5, 50, 4  # Rows: no other length of the tiny agents is a multiple of 5.


class LiveDraws:
    """What an export draws, row by row, in place of a live agent's generator.

    docs/export.md says what it is: the d-th draws of a decision for row i are stateless ones with
    the seed [seed 0 of the row + 7919 d, seed 1].
    """

    def __init__(self, seeds):
        self.seeds = seeds
        self.calls = 0

    def normal(self, shape):
        return self.draw(tf.random.stateless_normal, shape)

    def uniform(self, shape):
        return self.draw(tf.random.stateless_uniform, shape)

    def draw(self, function, shape):
        [axis] = [axis for axis, length in enumerate(shape) if length and length % ROWS == 0]
        own = [length // ROWS if i == axis else length for i, length in enumerate(shape)]
        offset = [7919 * self.calls, 0]
        self.calls += 1
        return tf.concat([function(own, self.seeds[i] + offset) for i in range(ROWS)], axis)


def make_agent(name, overrides=()):
    tf.keras.utils.set_random_seed(0)
    options = {"agent": name, "dreamerv2.discount_model": True, **dict(overrides)}
    agent = agents.make(config.load(["debug"], options).config, OBS_SPACE, SPACES[name][0])
    rng = np.random.default_rng(0)
    for network in agent.networks.values():
        for variable in network.trainable_variables:
            variable.assign_add(rng.normal(0, 0.1, variable.shape))
    return agent


def observations(seed=0):
    """Dict of ``[T, N, ...]``; the rows begin new episodes at different steps."""
    rng = np.random.default_rng(seed)
    leading = (STEPS, ROWS)
    is_first = rng.random(leading) < 0.1
    is_first[0] = True
    is_first[1:, 0] = False
    return {
        "image": rng.integers(0, 256, (*leading, 16, 16, 3), dtype=np.uint8),
        "robot/arm": rng.normal(size=(*leading, 3)).astype(np.float32),
        "is_first": is_first,
    }


def native(name, actions):
    """An agent's actions in the environment's range."""
    actions = dict(actions)
    for key, space in SPACES[name][1].items():
        if space.is_discrete:
            actions[key] = actions[key] + space.low
        else:
            actions[key] = space.low + (actions[key] + 1) / 2 * (space.high - space.low)
    return actions


def play_live(name, agent, mode):
    """The live agent's actions along the observations, dict of ``[T, N, ...]``; its last state."""
    seeds = tf.Variable([[row, 0] for row in range(ROWS)])
    agent.rng = LiveDraws(seeds)
    recorded, state, played = observations(), None, []
    for step in range(STEPS):
        obs = {key: values[step] for key, values in recorded.items()}
        actions, state = agent.policy(obs, state, mode)
        seeds.assign_add([[0, 1]] * ROWS)
        played.append(native(name, actions))
    return {key: np.stack([one[key] for one in played]) for key in played[0]}, state


def planned(name):
    """Actions to imagine along, in the environment's range, dict of ``[N, H, ...]``."""
    rng, plan = np.random.default_rng(1), {}
    for key, space in SPACES[name][1].items():
        shape = (ROWS, HORIZON, *space.shape)
        if space.is_discrete:
            plan[key] = rng.integers(space.low, space.high, shape, np.int32, endpoint=True)
        else:
            plan[key] = rng.uniform(space.low, space.high, shape).astype(np.float32)
    return plan


@pytest.fixture(scope="module")
def live():
    """Dict of algorithm to agent."""
    return {name: make_agent(name) for name in SPACES}


@pytest.fixture(scope="module")
def folder(live, tmp_path_factory):
    """Folder of all exports, and of what they answered in a process of their own."""
    folder = tmp_path_factory.mktemp("exports")
    for name, agent in live.items():
        written, refusal = agent.export(folder / name, native_actions=SPACES[name][1], litert=False)
        assert (written, refusal) == (folder / name, None)
        recorded = {key.replace("/", "_"): values for key, values in observations().items()}
        plan = planned(name)
        inputs = {f"imagine/{key}": values for key, values in plan.items()}
        np.savez(folder / name, actions=list(plan), **recorded, **inputs)
    script = pathlib.Path(__file__).with_name("fresh_process.py")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, cwd=folder)
    return folder


@pytest.fixture(params=list(SPACES))
def name(request):
    return request.param


def answers(folder, name, part):
    """What an export answered, dict of name to array."""
    with np.load(folder / f"{name}.out.npz") as file:
        return {
            key.removeprefix(f"{part}/"): file[key] for key in file if key.startswith(f"{part}/")
        }


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-4, atol=1e-4, err_msg=key)


def test_exported_actions_are_the_live_agents(live, folder, name):
    expected, _ = play_live(name, live[name], "eval")
    got = answers(folder, name, "act")
    assert_same(got, expected)
    for key, space in SPACES[name][1].items():
        assert got[key].dtype == space.dtype and got[key].std() > 0
        assert (got[key] >= space.low).all() and (got[key] <= space.high).all()


def test_sampled_actions_and_imagination_are_the_live_agents(live, folder, name):
    agent = live[name]
    expected, (latent, action, *_) = play_live(name, agent, "train")
    assert_same(answers(folder, name, "act_sample"), expected)
    last = answers(folder, name, "last")
    np.testing.assert_allclose(last["state_deter"], latent.deter, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(last["state_stoch"], latent.stoch, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(last["state_action"], action, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(last["state_seed"], [[row, STEPS] for row in range(ROWS)])

    model, native_actions = agent.world_model, NativeActions(*SPACES[name])
    plan = agent.actions.encode(native_actions.from_native(planned(name)))
    rewards, images = [], []
    for step in range(HORIZON):
        draws = LiveDraws(tf.constant([[row, STEPS + step] for row in range(ROWS)]))
        noise = model.rssm.latent.draws(draws, [ROWS])
        latent = model.rssm.img_step(latent, plan[:, step], noise)
        rewards.append(model.heads["reward"].mean(get_feat(latent)))
        images.append(agent.networks["decoder"](get_feat(latent))["image"])
    seen = answers(folder, name, "imagine")
    rewards = np.stack(rewards, 1)
    # DreamerV3's sums up numbers of up to 5e8, which the larger weights here make use of.
    rounding = 1e-4 * max(np.abs(rewards).max(), 1)
    np.testing.assert_allclose(seen["reward"], rewards, rtol=1e-3, atol=rounding)
    shown = np.clip((np.stack(images, 1) + 0.5) * 255, 0, 255)
    assert seen["image"].dtype == np.uint8
    np.testing.assert_allclose(seen["image"], shown, atol=0.6)
    assert seen["robot_arm"].shape == (ROWS, HORIZON, 3)
    assert ("cont" in seen) == ("cont" in model.heads)
    np.testing.assert_allclose(seen["state_deter"], latent.deter, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(seen["state_seed"][:, 1], STEPS + HORIZON)


def test_a_row_does_not_depend_on_the_others(folder, name):
    whole = answers(folder, name, "act_sample")
    third = {key: values[:10, 2:3] for key, values in whole.items()}
    assert_same(answers(folder, name, "alone"), third)


def test_the_weights_come_back_into_the_networks(live, folder, name):
    for part, network in live[name].networks.items():
        before = [variable.numpy() for variable in network.weights]
        for variable in network.weights:
            variable.assign(tf.zeros_like(variable))
        network.load_weights(folder / name / "weights" / f"{part}.weights.h5")
        for old, variable in zip(before, network.weights, strict=True):
            np.testing.assert_array_equal(variable.numpy(), old, err_msg=variable.path)


def test_an_export_says_what_it_takes(folder, name):
    manifest = json.loads((folder / name / "export.json").read_text())
    assert manifest["agent"] == name
    spaces = {key: space_from_json(value) for key, value in manifest["actions"].items()}
    assert spaces == SPACES[name][1]
    assert manifest["observations"]["robot/arm"]["name"] == "robot_arm"
    readme = (folder / name / "README.md").read_text()
    for part in [*manifest["state"], "robot_arm", "act_sample", "is_first"]:
        assert f"`{part}`" in readme


def test_what_cannot_be_exported_says_why(live, folder, tmp_path):
    with pytest.raises(ExportError, match="is there already"):
        live["dreamer"].export(folder / "dreamer")
    with pytest.raises(ExportError, match="'action' has 2 elements"):
        live["dreamer"].export(tmp_path / "new", native_actions=NATIVE_CATEGORY)
    random = agents.make(config.load([], {"agent": "random"}).config, OBS_SPACE, BOX)
    with pytest.raises(ExportError, match="'random' has no networks"):
        random.export(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def planner():
    """A Dreamer whose planner acts."""
    search = {"candidates": 9, "elites": 2, "actor_trajectories": 3, "iterations": 2, "horizon": 3}
    return make_agent(
        "dreamer",
        {"dreamer.policy": "planner"} | {f"dreamer.planner.{k}": v for k, v in search.items()},
    )


def test_an_exported_planner_remembers_its_plan(planner, tmp_path):
    expected, (_, _, _, plan) = play_live("dreamer", planner, "train")
    planner.export(tmp_path / "planner", native_actions=NATIVE_BOX, litert=False)
    signatures = tf.saved_model.load(str(tmp_path / "planner")).signatures
    state, played = signatures["initial_state"](batch_size=tf.constant(ROWS)), []
    assert state["state_plan"].shape == [ROWS, 3, 2]
    recorded = {key.replace("/", "_"): values for key, values in observations().items()}
    for step in range(STEPS):
        inputs = {key: tf.constant(values[step]) for key, values in recorded.items()}
        answer = signatures["act_sample"](**inputs, **state)
        played.append(answer["action"].numpy())
        state = {name: x for name, x in answer.items() if name.startswith("state_")}
    np.testing.assert_allclose(played, expected["action"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(state["state_plan"], plan, rtol=1e-4, atol=1e-4)
    assert np.abs(plan).max() > 0
    seen = signatures["imagine"](action=tf.zeros([ROWS, 2, 2]), **state)
    assert seen.keys() >= {*state, "reward"} and not np.any(seen["state_plan"])


def test_an_agent_in_bfloat16_is_exported_in_float32(tmp_path):
    agent = make_agent("dreamerv3", {"precision": "mixed_bfloat16"})
    native_box = {"native_actions": SPACES["dreamerv3"][1]}
    _, refusal = agent.export(tmp_path / "policy", **native_box)
    assert refusal is None, "LiteRT cannot hold it"
    twin = make_agent("dreamerv3")
    twin.export(tmp_path / "twin", **native_box, litert=False)
    inputs = {key.replace("/", "_"): tf.constant(x[0]) for key, x in observations().items()}
    answers = []
    for name in ("policy", "twin"):
        signatures = tf.saved_model.load(str(tmp_path / name)).signatures
        state = signatures["initial_state"](batch_size=tf.constant(ROWS))
        answers.append(signatures["act"](**inputs, **state))
    for key, expected in answers[1].items():
        np.testing.assert_array_equal(answers[0][key], expected)


def in_litert(policy, names, folder):
    """What the file needs, and a function of its inputs by name."""
    path = folder / "policy.tflite"
    needed = litert.convert(policy, names, path)
    return needed, tf.lite.Interpreter(str(path)).get_signature_runner("act")


def in_onnx(policy, names, folder):
    """The same with ONNX Runtime."""
    pytest.importorskip("tf2onnx", reason='pip install "dreamer-tf[onnx]"')
    onnxruntime = pytest.importorskip("onnxruntime", reason='pip install "dreamer-tf[onnx]"')
    path = folder / "policy.onnx"
    needed = onnx.convert(policy, names, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]

    def run(**given):
        values = zip(outputs, session.run(None, given), strict=True)
        return {name.removeprefix(onnx.AFTER): value for name, value in values}

    return needed, run


@pytest.mark.parametrize(
    ("name", "open_file"),
    [
        ("planet", in_litert),
        ("dreamerv3", in_litert),
        ("planner", in_litert),
        ("planet", in_onnx),
        ("dreamer", in_onnx),
        ("dreamerv2", in_onnx),
        ("dreamerv3", in_onnx),
    ],
)
def test_the_file_of_another_runtime_acts_as_the_agent(live, planner, tmp_path, name, open_file):
    if name == "planner":
        live, name = {"dreamer": planner}, "dreamer"
    policy = ExportedFunctions(live[name], NativeActions(*SPACES[name])).policy()
    names = Names(policy)
    needed, runner = open_file(policy, names, tmp_path)
    rng = np.random.default_rng(0)
    state, seen = live[name].initial_state(1), None
    for step in range(3):
        draws = [
            (rng.normal if draw["kind"] == "normal" else rng.random)(size=draw["shape"])
            for draw in needed["draws"]
        ]
        draws = [tf.constant(draw, tf.float32) for draw in draws]
        obs = {key: values[step, :1] for key, values in observations().items()}
        is_first = tf.constant(obs.pop("is_first"))
        tensors = {key: tf.constant(value) for key, value in obs.items()}
        noise = live[name].policy_noise(1, FedDraws(draws), "eval")
        actions, state = live[name].act(tensors, state, is_first, noise, "eval")
        if seen is None:
            seen = {
                names.state[key]: np.zeros([1, *spec.shape], "f")
                for key, spec in policy.state.items()
                if key != "seed"
            }
        inputs = {key.replace("/", "_"): value for key, value in obs.items()} | seen
        inputs |= {f"draw_{index}": draw.numpy() for index, draw in enumerate(draws)}
        answer = runner(**inputs, is_first=is_first.numpy())
        seen = {key: value for key, value in answer.items() if key in seen}
        expected = native(name, {key: action.numpy() for key, action in actions.items()})
        assert_same({key: answer[key] for key in expected}, expected)


class Tflite:
    """``ai_edge_litert.interpreter`` by TensorFlow's own interpreter, which is the same."""

    Interpreter = tf.lite.Interpreter


@pytest.mark.parametrize("name", ["planet", "dreamerv3"])
@pytest.mark.parametrize("runtime", ["tf.saved_model", "Interpreter", "onnxruntime"])
def test_the_code_in_the_readme_plays(live, tmp_path, monkeypatch, name, runtime):
    if runtime == "onnxruntime":
        pytest.importorskip("tf2onnx", reason='pip install "dreamer-tf[onnx]"')
        pytest.importorskip("onnxruntime", reason='pip install "dreamer-tf[onnx]"')
    for module in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, module, Tflite)
    out = tmp_path / "policy"
    live[name].export(out, native_actions=SPACES[name][1], onnx=runtime == "onnxruntime")
    text = (out / "README.md").read_text().replace("path/to/this/folder", str(out))
    [code] = [code for code in re.findall("```python\n(.+?)```", text, re.S) if runtime in code]
    first, every_step = code.split("# at every step:\n")
    values = {}
    exec(first, values)
    seen = observations()
    for step in range(3):
        image, arm = (seen[key][step, :1] for key in OBS_SPACE)
        values["observations"] = {"image": image, "robot_arm": arm}
        values["episode_begins"] = step == 0
        exec(every_step, values)
    assert np.asarray(values["answer"]["action"]).shape == (1, 2)
    assert np.any(values["state"]["state_deter"])


def test_what_cannot_be_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(ExportError, match="is there already; name a new or an empty folder"):
            checks.check_free(taken)
    checks.check_free(tmp_path / "new")
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"tf2onnx and onnx: .*pip install .*\[onnx\]"):
        checks.check_onnx()


@pytest.mark.parametrize(
    ("module", "match"),
    [(litert, "LiteRT cannot .* does not have Betainc"), (onnx, "ONNX cannot .*Betainc")],
)
def test_operations_that_a_runtime_lacks_are_named(tmp_path, module, match):
    if module is onnx:
        pytest.importorskip("tf2onnx", reason='pip install "dreamer-tf[onnx]"')

    def act(obs, state, is_first, draws):
        return {"action": tf.math.betainc(obs["x"], obs["x"], obs["x"])}, {}

    space = {"x": Space(np.float32, (1,))}
    policy = Policy("test", space, BOX, {}, None, None, None, act, [], {})
    with pytest.raises(ExportError, match=match):
        module.convert(policy, Names(policy), tmp_path / "policy")
    assert list(tmp_path.iterdir()) == []


def test_names_are_plain_and_each_its_own():
    from dreamer_tf.export.saved_model import _plain

    keys = ["left arm", "left:arm", "état", "50%", "_", "", "robot/arm"]
    names = list(_plain(keys).values())
    assert names == ["left_arm", "left_arm_1", "x_tat", "x50_", "x_", "x", "robot_arm"]
    assert len(set(_plain(["a b", "a_b_2", "a~b"]).values())) == 3
