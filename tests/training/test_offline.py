"""Learning from recorded episodes, Minari datasets, and runs that begin with another's weights."""

import json
import pathlib
import shutil
import types

import gymnasium
import numpy as np
import pytest
from packaging.requirements import Requirement

import dreamer_tf
from dreamer_tf import agents, envs
from dreamer_tf import config as configs
from dreamer_tf.apps.api import data
from dreamer_tf.apps.api import training as api
from dreamer_tf.replay import read_episodes
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.checkpoint import Checkpoints
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.specs import Space, row_spaces
from dreamer_tf.training import session
from tests.counting import CountingEnv
from tests.test_packaging import setup_lists
from tests.training.conftest import SMALL
from tests.training.counting_agent import SeededEnv

OFFLINE = SMALL | {"run.log_every": 10, "run.eval_every": 20}


@pytest.fixture
def fit(agents, monkeypatch, tmp_path):
    """Function that fits the counting agent to a dataset in ``tmp_path / name``."""
    monkeypatch.setattr(data, "write_at_end", lambda folder, tell: None)

    def fit(dataset, name="fitted", updates=50, **options):
        options = OFFLINE | options
        return dreamer_tf.fit(dataset, logdir=tmp_path / name, updates=updates, **options)

    return fit


@pytest.fixture
def registered(monkeypatch):
    """The name of a task that makes the counting environment."""
    monkeypatch.setattr(session.envs, "make", lambda task, **_: SeededEnv())
    return "gymnasium_Counting-v0"


def episodes_of(folder):
    rows = row_spaces(*run_folder.load_spaces(folder))
    return [
        {key: np.array(value) for key, value in episode.items()}
        for episode in read_episodes(folder / "replay", rows)
    ]


def test_an_agent_learns_from_a_runs_episodes_and_is_evaluated_where_it_can_be(train, fit):
    source = train("source", **{"run.train_updates": 0, "run.pretrain": 0}).logdir
    result = fit(source, env=SeededEnv)
    assert int(result.agent.updates) == 50
    assert result.agent.batch_shapes == {(3, 6)}
    assert result.curve.xs.tolist() == [20, 40]
    metrics = result.metrics()
    assert metrics["count_loss"].xs.tolist() == [10, 20, 30, 40, 50]
    assert "train/return" not in metrics and len(episodes_of(result.logdir)) > 5
    loaded = dreamer_tf.load(result.logdir)
    np.testing.assert_array_equal(loaded.weight, result.agent.weight)
    # The episodes of the source are there still, whatever happens to the copy.
    assert len(episodes_of(source)) == len(episodes_of(result.logdir))


def test_a_fit_is_evaluated_in_a_task_by_its_name(train, fit, registered):
    result = fit(train("source").logdir, env=registered, stop=0.0)
    assert result.curve.xs.tolist() == [20] and "has reached 0" in result.stopped
    assert configs.read(result.logdir).task == registered


class Stretched(SeededEnv):
    """Takes other numbers for the same actions."""

    native_act_space = {"action": Space(np.float32, (2,), -2, 2)}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            lambda: CountingEnv(act_space={"arm": Space(np.float32, (2,), -1, 1)}),
            "the action 'action' of the environment is missing, and was .*\n.*'arm'.*not there",
        ),
        (lambda: CountingEnv(image=True), "the observation 'image' .* and was not there"),
        (Stretched, "'action' of the environment is .*-2 to 2.* and was .*-1 to 1"),
    ],
)
def test_an_environment_with_other_spaces_than_the_data_is_refused(
    train, fit, agents, tmp_path, env, message
):
    source = train("source").logdir
    with pytest.raises(envs.EnvError, match=message):
        fit(source, env=env)
    assert int(agents.made[-1].updates) == 0 and not (tmp_path / "fitted").exists()
    fit(source, env=env, **{"run.eval_every": 0})


def test_a_fit_goes_on_as_if_it_had_not_stopped(train, fit, capsys):
    source = train("source").logdir
    whole = fit(source, "whole", 40)
    fit(source, "parts", 25)
    assert "the data given" not in capsys.readouterr().out
    parts = fit("not needed any more", "parts", 40)
    np.testing.assert_array_equal(parts.agent.weight, whole.agent.weight)
    count, replay = len(episodes_of(parts.logdir)), parts.logdir / "replay"
    told = f"goes on with the {count} episodes in {replay}; the data given are not read\n"
    assert told in capsys.readouterr().out


def test_a_fit_goes_on_in_an_environment(train, fit, monkeypatch):
    source = train("source", steps=60).logdir
    result = fit(source)
    frames = sum(len(episode["reward"]) - 1 for episode in episodes_of(source))
    monkeypatch.setattr(api, "write_at_end", lambda folder, tell: None)
    options = {"run.eval_every": 0, "run.prefill": 0, "env.workers": "inline"}
    again = dreamer_tf.train(SeededEnv, logdir=result.logdir, steps=frames + 30, **options)
    assert len(episodes_of(result.logdir)) > len(episodes_of(source))
    # What was recorded had its updates: those that are due are for the 30 frames since.
    config = configs.read(result.logdir)
    due = 30 // config.run.train_every * config.run.train_updates
    assert 0 < int(again.agent.updates) - 50 <= due


def test_a_fit_goes_on_in_any_task_where_the_data_did_not_name_theirs(
    train, fit, registered, monkeypatch
):
    source = train("source", steps=60).logdir
    assert configs.read(fit(source, "named").logdir).task == "SeededEnv"
    (source / "config.yaml").unlink()  # As others' episodes.
    folder = fit(source).logdir
    assert configs.read(folder).task == "custom"
    options = {"run.eval_every": 0, "run.prefill": 0, "name": "fitted"}
    train(env=registered, steps=80, **options)
    assert configs.read(folder).task == registered and not (folder / "earlier").exists()
    with pytest.raises(RunFolderError, match="is another task"):  # It has acted since.
        train(env=lambda: SeededEnv(), steps=90, **options)


def test_what_was_played_after_a_fit_is_counted_whenever_it_is_killed(train, fit, monkeypatch):
    folder = fit(train("source", steps=60).logdir, updates=300).logdir
    monkeypatch.setattr(api, "write_at_end", lambda folder, tell: None)

    def go_on(steps):
        options = {"run.eval_every": 0, "run.prefill": 0, "env.workers": "inline"}
        return dreamer_tf.train(SeededEnv, logdir=folder, steps=steps, **options)

    go_on(340)
    shutil.rmtree(max((folder / "checkpoints").iterdir()))  # It was killed before that one.
    again = go_on(360)
    starts = json.loads((folder / "info.json").read_text())
    assert [start["env_frames"] for start in starts] == [0, 300, 340]
    # So are the updates that were due for it.
    assert int(again.agent.updates) == 300 + int(60 // 4 * 1.5)


def test_a_fit_without_an_environment_leaves_evaluations_to_those_that_have_one(train, fit):
    source = train("source").logdir
    result = fit(source)
    assert not result.curve.xs.size
    assert configs.read(result.logdir).run.eval_every == OFFLINE["run.eval_every"]
    again = fit(source, updates=90, env=SeededEnv)
    assert again.curve.xs.tolist() == [50, 60, 80]  # The one that was due is made first.


def test_a_run_that_acts_is_not_fitted_in_its_folder(train, fit):
    run = train("source")
    before = run.agent.updates.numpy(), (run.logdir / "config.yaml").read_bytes()
    with pytest.raises(RunFolderError, match="acts in an environment.* another folder"):
        fit(run.logdir, "source", updates=500)
    assert (run.logdir / "config.yaml").read_bytes() == before[1]
    assert int(dreamer_tf.load(run.logdir).updates) == before[0]


def test_callbacks_stop_a_fit(train, fit):
    result = fit(train("source").logdir, stop=lambda run: run.grad_steps >= 20)
    assert "says so" in result.stopped and int(result.agent.updates) == 20


def test_what_cannot_be_learned_from_is_refused(train, fit, tmp_path):
    with pytest.raises(RunFolderError, match="is not the folder of a run"):
        fit(tmp_path)
    with pytest.raises(RunFolderError, match="holds no episode"):
        fit(Dataset(**(vars(DATASET) | {"episodes": []})))
    source = train("source", steps=20).logdir
    for file in (source / "replay").glob("*.npz"):
        file.unlink()
    with pytest.raises(RunFolderError, match="no episode in .*source.*replay"):
        fit(source)
    assert not (tmp_path / "fitted").exists()


# ---- Minari.


class Dataset(types.SimpleNamespace):
    """Episodes as Minari has them: dicts of arrays, and native actions."""

    def iterate_episodes(self):
        return iter(self.episodes)


def recorded(length, terminates=True):
    steps = np.arange(length)
    rewards = steps.astype(float)
    ends = (steps == length - 1) & terminates
    count = np.arange(length + 1, dtype=np.uint8)
    observations = {
        "image": np.tile(count[:, None, None, None], (1, 20, 20, 3)),
        "arm": {"angle": np.arange(length + 1, dtype=np.float64)[:, None] / 100},
    }
    return types.SimpleNamespace(
        observations=observations,
        actions={"push": np.linspace(-2, 2, length)[:, None], "gear": 1 + steps % 3},
        rewards=rewards,
        terminations=ends,
        truncations=(steps == length - 1) & (not terminates),
    )


SPACES = gymnasium.spaces
RENAMED = {"echo": "arm/echo"}
DATASET = Dataset(
    observation_space=SPACES.Dict(
        image=SPACES.Box(0, 255, (20, 20, 3), np.uint8),
        arm=SPACES.Dict(angle=SPACES.Box(-1, 1, (1,))),
    ),
    action_space=SPACES.Dict(push=SPACES.Box(-2, 2, (1,)), gear=SPACES.Discrete(3, start=1)),
    episodes=[recorded(9), recorded(12, terminates=False)],
)


def test_recorded_episodes_become_rows():
    source = envs.RecordedEpisodes(DATASET, image_size=(10, 10))
    assert source.obs_space["image"].shape == (10, 10, 3)
    assert source.native_act_space["push"] == Space(np.float32, (1,), -2, 2)
    first, second = source
    assert len(first) == 10 and len(second) == 13
    for step, row in enumerate(first):
        assert row["image"][0, 0, 0] == step
        assert row["arm/angle"] == pytest.approx([step / 100])
        assert (row["is_first"], row["is_last"]) == (step == 0, step == 9)
        # The action that led here, as the agent gives it; the reward on arriving.
        if step:
            assert row["push"] == pytest.approx([-1 + 2 * (step - 1) / 8])
            assert row["gear"] == (step - 1) % 3 and row["reward"] == step - 1
    assert first[-1]["is_terminal"] and not second[-1]["is_terminal"] and second[-1]["is_last"]


def test_values_outside_of_their_spaces_are_refused():
    wrong = recorded(9)
    wrong.observations["arm"]["angle"] = wrong.observations["arm"]["angle"] * np.nan
    dataset = Dataset(**(vars(DATASET) | {"episodes": [wrong]}))
    with pytest.raises(envs.EnvError, match="arm/angle.*NaN"):
        list(envs.RecordedEpisodes(dataset))


@pytest.mark.parametrize(
    ("actions", "part"),
    [
        ({"push": np.full((9, 1), np.nan), "gear": np.ones(9, int)}, "push.*NaN"),
        ({"push": np.zeros((9, 1)), "gear": np.full(9, 5)}, "gear.*4"),
        ({"push": np.zeros((9, 2)), "gear": np.ones(9, int)}, "action of step 0"),
    ],
)
def test_actions_outside_of_their_spaces_are_refused(actions, part):
    wrong = recorded(9)
    wrong.actions = actions
    dataset = Dataset(**(vars(DATASET) | {"episodes": [wrong]}))
    with pytest.raises(envs.EnvError, match=part):
        list(envs.RecordedEpisodes(dataset))


@pytest.mark.parametrize("dataset", ["runs/walkr", pathlib.Path("walkr"), 3])
def test_what_is_no_dataset_says_what_would_be(fit, dataset):
    with pytest.raises(RunFolderError, match="run folder.*Minari"):
        fit(dataset)


def test_a_dataset_that_is_not_here_says_how_it_is_got(fit, tmp_path, monkeypatch):
    pytest.importorskip("minari", reason='pip install "dreamer-tf[minari]"')
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    with pytest.raises(RunFolderError, match="not on this machine.*minari download D4RL/none-v0"):
        fit("D4RL/none-v0")


def test_no_minari_is_asked_for_that_cannot_keep_images_as_they_are():
    [minari] = [r for r in setup_lists()["EXTRAS_REQUIRE"]["minari"] if r.startswith("minari")]
    assert "0.5.3" not in Requirement(minari).specifier


def test_whole_numbers_of_a_range_stay_a_range_in_a_dataset():
    native, taken = Space(np.int32, (2,), -5, 5), Space(np.float32, (2,), -1, 1)
    space = data._gym_space({"push": native, "gear": native}, {"push": taken, "gear": native})
    assert space["push"] == gymnasium.spaces.Box(-5, 5, (2,), np.int32)
    assert isinstance(space["gear"], gymnasium.spaces.MultiDiscrete)


def test_replay_to_minari_and_back(train, fit, tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason='pip install "dreamer-tf[minari]"')
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    act_space = {"push": Space(np.float32, (2,), -1, 1), "gear": Space(np.int32, (), 0, 2)}

    class Wide(CountingEnv):
        native_act_space = act_space | {"push": Space(np.float32, (2,), -3, 5)}

        @property
        def obs_space(self):  # What was a dict within the dict.
            return {RENAMED.get(key, key): space for key, space in super().obs_space.items()}

        def _observe(self, action):
            return {RENAMED.get(k, k): value for k, value in super()._observe(action).items()}

    options = {"run.prefill": 1000, "run.eval_every": 0}
    source = train(
        "source", steps=60, env=lambda: Wide(9, image=True, act_space=act_space), **options
    ).logdir
    made = dreamer_tf.to_minari(source, "counting/to-nine-v0", author="somebody")
    assert minari.load_dataset("counting/to-nine-v0").total_episodes == made.total_episodes
    back = fit("counting/to-nine-v0", updates=1).logdir
    before, after = episodes_of(source), episodes_of(back)
    assert len(before) == len(after) >= 6
    for old, new in zip(before, after, strict=True):
        assert old.keys() == new.keys()
        for key in old:
            np.testing.assert_allclose(new[key], old[key], atol=1e-6, err_msg=key)
    assert next(made.iterate_episodes()).observations["arm"].keys() == {"echo"}
    action = next(made.iterate_episodes()).actions["push"]
    assert action.min() < -1.5 and action.max() > 1.5  # The environment's own.
    assert run_folder.load_native_actions(back) == Wide.native_act_space


# ---- From another run.


def folder_of(path, agent, config):
    """A run folder with the agent in a checkpoint."""
    configs.save(config, path, {key: "default" for key in configs.options()})
    run_folder.save_spaces(path, agent.obs_space, agent.act_space, agent.act_space)
    Checkpoints(path / "checkpoints", agent=agent).save({}, env_frames=1, grad_steps=1)
    return path


def made(config, seed=1):
    from dreamer_tf.training.session import seed_libraries

    env = CountingEnv()
    seed_libraries(seed)
    return agents.make(config, env.obs_space, env.act_space)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    config = configs.load(["debug"], {"agent": "dreamer"}).config
    path = tmp_path_factory.mktemp("earlier")
    agent = made(config)
    return folder_of(path, agent, config), agent


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))


def test_components_are_loaded_where_they_fit_and_the_report_says_which(earlier):
    folder, theirs = earlier
    config = configs.load(["debug"], {"agent": "dreamer", "dreamer.actor.units": 23}).config
    mine = made(config, seed=2)
    untouched = [weight.numpy() for weight in mine.networks["actor"].weights]
    assert not same(mine.networks["encoder"], theirs.networks["encoder"])
    report = dreamer_tf.load_components(mine, folder)
    assert report.keys() == mine.networks.keys()
    assert {name for name, outcome in report.items() if outcome != "loaded"} == {"actor"}
    assert "does not fit" in report["actor"] and "23" in report["actor"]
    for name in report.keys() - {"actor"}:
        assert same(mine.networks[name], theirs.networks[name]), name
    assert all(map(np.array_equal, untouched, mine.networks["actor"].weights))


def test_slow_copies_begin_with_the_critic_that_was_loaded(tmp_path):
    config = configs.load(["debug"], {"agent": "dreamerv2"}).config
    folder = folder_of(tmp_path, made(config), config)
    mine = made(config, seed=2)
    before = mine.behavior.slow_critic.network.get_weights()
    dreamer_tf.load_components(mine, folder, ["encoder"])
    assert all(map(np.array_equal, before, mine.behavior.slow_critic.network.get_weights()))
    dreamer_tf.load_components(mine, folder)
    assert same(mine.behavior.slow_critic.network, mine.networks["critic"])
    assert not all(map(np.array_equal, before, mine.networks["critic"].get_weights()))


def test_chosen_components_are_loaded_alone(earlier):
    folder, theirs = earlier
    mine = made(configs.load(["debug"], {"agent": "dreamer"}).config, seed=2)
    assert dreamer_tf.load_components(mine, folder, ["encoder"]) == {"encoder": "loaded"}
    assert same(mine.networks["encoder"], theirs.networks["encoder"])
    assert not same(mine.networks["rssm"], theirs.networks["rssm"])
    with pytest.raises(ValueError, match="the agent has encoder.*got encodr"):
        dreamer_tf.load_components(mine, folder, ["encodr"])


def test_a_new_run_begins_with_the_weights_of_another(earlier, tmp_path, capsys):
    folder, theirs = earlier
    options = {
        "agent": "dreamer",
        "seed": 3,
        "run.from_run": str(folder),
        "run.prefill": 1000,
        "run.eval_every": 0,
        "env.workers": "inline",
    }
    result = dreamer_tf.train(
        lambda: CountingEnv(9), ["debug"], logdir=tmp_path / "run", steps=20, **options
    )
    assert f"encoder of {folder}: loaded\n" in capsys.readouterr().out
    for name, network in theirs.networks.items():
        assert same(result.agent.networks[name], network), name
    assert json.loads((tmp_path / "run" / "info.json").read_text())[0]["env_frames"] == 0


def test_a_run_of_which_nothing_fits_is_refused(earlier, tmp_path):
    options = {"agent": "random", "run.from_run": str(earlier[0]), "env.workers": "inline"}
    with pytest.raises(RunFolderError, match="nothing of .* fits the agent"):
        dreamer_tf.train(lambda: CountingEnv(9), logdir=tmp_path / "run", steps=20, **options)
    assert not (tmp_path / "run").exists()
