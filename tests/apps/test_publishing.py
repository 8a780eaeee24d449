"""Cards: all of one checkpoint, with what can be exported, and of runs that never acted."""

import json

import numpy as np
import pytest

import dreamer_tf
from dreamer_tf import agents
from dreamer_tf import config as configs
from dreamer_tf.agents import Agent
from dreamer_tf.apps.api import Evaluation, publishing, trained
from dreamer_tf.export import saved_model
from dreamer_tf.export.errors import ExportError
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.checkpoint import Checkpoints
from dreamer_tf.training.session import seed_libraries
from tests.counting import CountingEnv

CONFIG = configs.load(["debug"], {"agent": "dreamer"}).config
SPACES = CountingEnv().obs_space, CountingEnv().act_space


def make_agent(seed):
    seed_libraries(seed)
    return agents.make(CONFIG, *SPACES)


def save(folder, agent, frames, acted=True):
    """A checkpoint; where nothing acted, the updates of a fit are what it calls frames."""
    counts = {"env_frames": frames, "grad_steps": frames // 2 if acted else frames}
    state = {"counters": counts | {"agent_steps": frames if acted else 0}}
    Checkpoints(folder / "checkpoints", agent=agent).save(state, **counts)


@pytest.fixture
def run(tmp_path):
    """Folder of a run at 400 frames, as if it had been trained."""
    folder = tmp_path / "run"
    configs.save(CONFIG, folder)
    run_folder.save_spaces(folder, *SPACES, SPACES[1])
    save(folder, make_agent(1), 400)
    return folder


def publish(run, out, **options):
    """The results, and the text of the card."""
    folder, results = dreamer_tf.publish(run, out, episodes=2, **options)
    assert json.loads((folder / "results.json").read_text()) == results
    return results, (folder / "README.md").read_text()


@pytest.fixture(autouse=True)
def played(monkeypatch):
    """Plays nothing; lists the checkpoints that would have."""
    found = []

    def evaluate(folder, *args, **options):
        found.extend(path.name for path in (folder / "checkpoints").iterdir())
        return Evaluation([1.0, 2.0], [5, 5], 1.5, 0.5, None)

    monkeypatch.setattr(publishing, "evaluate", evaluate)
    return found


@pytest.fixture
def exported(run, monkeypatch):
    """Exports nothing, while the run goes on; lists the agents that would have been."""
    found = []

    def export(agent, path, **options):
        found.append(agent)
        path.mkdir()
        save(run, make_agent(3), 1200)
        return path, None

    monkeypatch.setattr(Agent, "export", export)
    return found


def test_a_card_is_of_one_checkpoint_whatever_the_run_saves(run, tmp_path, exported, played):
    agent = make_agent(2)
    save(run, agent, 800)
    results, text = publish(run, tmp_path / "card", onnx=False)
    for other in (*exported, dreamer_tf.load(tmp_path / "card")):
        for name, network in agent.networks.items():
            for mine, theirs in zip(network.weights, other.networks[name].weights, strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert len(exported) == 1 and played == ["00001-frames800-updates400"]
    assert (results["env_frames"], results["grad_steps"]) == (800, 400)
    assert "after 800 frames and 400 updates. Its mean" in text


def test_a_policy_that_onnx_cannot_hold_is_published_without(run, tmp_path, monkeypatch):
    def refuse(words):
        def convert(*args):
            raise ExportError(words)

        return convert

    monkeypatch.setattr(saved_model.litert, "convert", refuse("LiteRT cannot run this policy"))
    monkeypatch.setattr(saved_model.onnx, "convert", refuse("ONNX cannot hold this policy"))
    for module in (publishing, saved_model, trained):
        monkeypatch.setattr(module, "check_onnx", lambda: None)  # It need not be installed.
    _, text = publish(run, tmp_path / "card")
    assert "There is no ONNX file: ONNX cannot hold this policy." in text
    assert "There is no LiteRT file: LiteRT cannot run this policy." in text
    assert "how to call it:\na TensorFlow SavedModel.\n" in text
    with pytest.raises(ExportError, match="ONNX cannot hold this policy"):
        trained.export(run, tmp_path / "policy", onnx=True)
    assert not (tmp_path / "policy").exists(), "there it was asked for by name"


def test_where_nothing_acted_updates_are_no_frames(run, tmp_path, exported):
    save(run, make_agent(2), 500, acted=False)
    (run / "scores.json").write_text("[]")
    results, text = publish(run, tmp_path / "card", onnx=False)
    assert (results["env_frames"], results["grad_steps"]) == (0, 500)
    assert "after 500 updates on recorded episodes. Its mean" in text and "frames" not in text
    assert "| the learning curve, over updates |" in text
    dreamer_tf.load(tmp_path / "card")


def test_a_card_may_be_made_where_one_stands(run, tmp_path, monkeypatch, exported):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    publish(run, ".", onnx=False)
    assert (tmp_path / "here" / "README.md").samefile("README.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "run"]
