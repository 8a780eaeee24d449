"""Presets: what they hold, what they build on, and which of them go together."""

import collections
import pathlib
import re

import pytest
from ruamel.yaml import YAML

from dreamer_tf import config
from dreamer_tf.config.moved import MOVED
from dreamer_tf.config.options import nested_items
from dreamer_tf.config.resolve import preset_folder, preset_title, read_layers


def test_a_preset_added_later_stays_beneath_what_was_given():
    overrides = {"run.train_ratio": 7, "env.count": 3}
    added = config.add_preset(config.load(["dmc"], overrides), "dreamerv3_cpu")
    assert added == config.load(["dmc", "dreamerv3_cpu"], overrides)
    added = config.add_preset(config.load(["dmc"], ["--env.count", "3"]), "dreamerv3_cpu")
    assert added == config.load(["dmc", "dreamerv3_cpu"], ["--env.count", "3"])


def test_presets_apply_from_left_to_right_and_overrides_last():
    resolved = config.load(["dmc", "cpu"], {"replay.batch_size": 7})
    cpu = config.read_preset("cpu")
    assert resolved.config.replay.batch_size == 7
    assert resolved.config.replay.batch_length == cpu["replay.batch_length"]
    assert resolved.config.dreamer.return_lambda == 0.95
    assert resolved.origins["replay.batch_size"] == "argument"
    assert resolved.origins["dreamer.actor.min_std"] == "preset cpu"
    assert resolved.origins["dreamer.objective"] == "preset dmc"
    assert resolved.origins["logdir"] == "default"
    swapped = config.load(["cpu", "dmc"]).config
    assert swapped.replay.batch_length == config.read_preset("dmc")["replay.batch_length"]


def test_dmc_has_the_numbers_of_the_paper():
    dmc = config.load(["dmc"]).config
    heads = (dmc.dreamer.reward, dmc.dreamer.actor, dmc.dreamer.critic)
    assert {(head.layers, head.units) for head in heads} == {(3, 300)}
    assert (dmc.replay.batch_size, dmc.replay.batch_length) == (50, 50)
    assert (dmc.run.prefill, dmc.run.train_every, dmc.run.train_updates) == (5000, 1000, 100)
    assert (dmc.steps, dmc.env.action_repeat) == (5_000_000, 2)
    assert dmc.env.render == "full"


def test_dmc_proprio_differs_from_the_paper_in_what_it_says():
    dmc, proprio = (config.load([name]).config for name in ("dmc", "dmc_proprio"))
    assert config.differences(dmc, proprio) == [
        ("steps", 5_000_000, 500_000),
        ("env.observations", "pixels", "state"),
        ("dreamer.kl_scale", 1.0, 0.1),
        ("dreamer.free_nats", 3.0, 0.0),
    ]


def test_dmc_tf2_has_the_sizes_of_the_authors_code():
    agent = config.load(["dmc_tf2"]).config.dreamer
    sizes = [(head.layers, head.units) for head in (agent.reward, agent.critic, agent.actor)]
    assert sizes == [(2, 400), (3, 400), (4, 400)]
    assert config.load(["dmc_tf2"]).config.run.pretrain == 100


def test_atari_has_the_numbers_of_the_papers_discrete_control():
    atari = config.load(["atari"]).config
    assert (atari.env.action_repeat, atari.env.time_limit) == (4, 108_000)
    game = atari.env.atari
    assert (game.sticky_actions, game.noops, game.end_on_life_loss) == (0.25, 30, True)
    agent = atari.dreamer
    assert (agent.imag_horizon, agent.kl_scale, agent.clip_rewards) == (10, 0.1, "tanh")
    assert agent.discount_model
    assert (agent.exploration_epsilon, agent.exploration_decay) == ((0.4, 0.1), 200_000)


@pytest.mark.parametrize("name", config.preset_names())
def test_every_value_of_a_preset_has_a_comment_with_its_source(name):
    lines = (preset_folder() / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ") and len(preset_title(name)) > 20
    values = [line for line in lines if re.match(r"\s*\w+: *[^\s#]", line)]
    # The names of the agent and of bases are no measured quantities.
    named = ("agent:", "base:")
    bare = [line for line in values if " # " not in line and not line.startswith(named)]
    assert values and not bare


def test_an_own_file_serves_as_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 1e3\nenv: {image_size: [32, 32]}\n")
    resolved = config.load(["dmc", str(path)])
    assert resolved.config.steps == 1000 and isinstance(resolved.config.steps, int)
    assert resolved.config.env.image_size == (32, 32)
    assert resolved.origins["steps"] == f"preset {path}"


# ---------------------------------------------------------------- presets that build on presets


@pytest.fixture
def own_presets(tmp_path, monkeypatch):
    """Writes YAML files and goes to their folder, so that they are named without it."""
    monkeypatch.chdir(tmp_path)

    def write(**files):
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(content)

    return write


def test_a_preset_applies_what_it_builds_on_first(own_presets):
    own_presets(
        low="steps: 1\nseed: 1\nenv: {count: 1}\n",
        middle="base: low.yaml\nseed: 2\nenv: {count: 2}\n",
        high="base: [middle.yaml, dmc]\nenv: {count: 3}\n",
    )
    resolved = config.load(["cpu", "high.yaml"], {"jit": True})
    values = resolved.config
    assert (values.steps, values.seed, values.env.count, values.jit) == (5_000_000, 2, 3, True)
    assert resolved.origins["steps"] == "preset dmc"
    assert resolved.origins["seed"] == "preset middle.yaml"
    assert resolved.origins["env.count"] == "preset high.yaml"
    assert resolved.origins["replay.batch_size"] == "preset episodes"
    assert list(config.load(["cpu"]).origins) == list(resolved.origins)


def test_a_base_of_two_bases_comes_once_and_first(own_presets):
    own_presets(
        common="seed: 1\nsteps: 1\n",
        left="base: common.yaml\nseed: 2\n",
        right="base: common.yaml\nsteps: 3\n",
        both="base: [left.yaml, right.yaml]\n",
    )
    assert list(read_layers("both.yaml")) == ["common.yaml", "left.yaml", "right.yaml", "both.yaml"]
    values = config.load(["both.yaml"]).config
    assert (values.seed, values.steps) == (2, 3)
    # Another preset of the command line means all that it says.
    assert config.load(["left.yaml", "right.yaml"]).config.seed == 1


def test_no_base_of_a_preset_that_goes_after_another_undoes_the_task():
    last = [name for name in config.preset_names() if " goes " in f" {preset_title(name)} "]
    assert len(last) > 9
    task = {"task", "env.observations", "env.atari.grayscale", "replay.sampler", "replay.capacity"}
    assert not [name for name in last if config.read_preset(name).keys() & task]
    # With all that bases bring, the README's longest row of presets is what it was.
    names = ["dreamerv2_dmc_proprio", "plan2explore", "dreamerv2_cpu"]
    origins = config.load(names).origins
    assert origins["env.observations"] == "preset dmc_state"
    assert origins["dreamerv2.explore.behavior"] == "preset plan2explore"
    assert origins["dreamerv2.explore.optimizer.learning_rate"] == "preset dreamerv2_cpu"
    assert origins["dreamerv2.explore.optimizer.grad_clip"] == "preset dreamerv2"


def test_a_circle_of_bases_is_named(own_presets):
    own_presets(a="base: b.yaml\n", b="base: [dmc, c.yaml]\n", c="base: a.yaml\n")
    with pytest.raises(config.ConfigError, match="circle: a.yaml > b.yaml > c.yaml > a.yaml"):
        config.load(["a.yaml"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base: dcm\n", "Unknown preset 'dcm'. Did you mean 'dmc'"),
        ("base: 3\n", "mine.yaml: base: expected the name of a preset, or a list, got 3"),
        ("base: {a: dmc}\n", "expected the name of a preset, or a list"),
    ],
)
def test_a_wrong_base_is_an_error(own_presets, content, message):
    own_presets(mine=content)
    with pytest.raises(config.ConfigError, match=message):
        config.load(["mine.yaml"])


def test_bases_are_listed_apart_and_no_error_suggests_all_of_them(capsys):
    shown = config.help_text()
    listed = shown[shown.index("presets that these build on") :]
    assert "  dreamerv3   " in listed and "  dreamerv3_gym" not in listed
    with pytest.raises(config.ConfigError) as error:
        config.load(["zzzzz"])
    assert " dreamerv3_gym," in str(error.value) and " dreamerv3," not in str(error.value)


def test_hardly_a_value_stands_in_two_presets():
    places = collections.Counter(
        (key, value)
        for name in config.preset_names()
        if name != "debug"  # The smallest values that work are others' by chance.
        for key, value in read_layers(name)[name].items()
    )
    assert sum(count for count in places.values() if count > 1) < 60


@pytest.mark.parametrize("name", config.preset_names())
def test_presets_use_the_new_names(name):
    tree = YAML(typ="safe", pure=True).load(preset_folder() / f"{name}.yaml")
    assert not MOVED.keys() & dict(nested_items(tree)).keys()


# ---------------------------------------------------------------- presets hardly meant together


def remarks_on(presets):
    """What is said about presets, one after the other."""
    return remarks_of(["--configs", *presets])


def remarks_of(words):
    """What is said about the words of a command line."""
    resolved = config.parse_args(words, suitable=True)
    return config.remarks(resolved, resolved.config)


@pytest.mark.parametrize(
    ("presets", "parts"),
    [
        (["dmc", "size12m"], ["size12m is for dreamerv3, the agent is dreamer", "changes nothing"]),
        (["dreamerv3_dmc_proprio", "cpu"], ["cpu is for dreamer, the agent is dreamerv3"]),
        (["debug", "cpu", "dmc"], ["dmc undoes ", "of debug", "of cpu", "dmc goes first"]),
        (["dmc", "dmc_proprio"], ["dmc_proprio undoes ", "of dmc,"]),
        (["dreamerv3_gym", "size1m"], ["size1m changes nothing here"]),
        (["dmc", "cpu", "debug"], []),
        (["dmc"], []),
        (["dreamerv2_dmc_proprio", "plan2explore", "dreamerv2_cpu"], []),
        (["dmc", "plan2explore"], ["dmc is for dreamer, the agent is dreamerv2: only its "]),
        (["planet", "plan2explore"], ["planet is for planet, the agent is dreamerv2"]),
        (["dreamerv3_dmc_vision", "plan2explore"], ["dreamerv3_dmc_vision is for dreamerv3, the "]),
        (
            ["dreamerv2_dmc_proprio", "dreamerv2_cpu", "plan2explore"],
            ["plan2explore undoes dreamerv2.explore.models, ", "plan2explore goes first"],
        ),
        (["dreamerv2_crafter", "dreamerv2_cpu"], ["dreamerv2_cpu an action lasts 8 steps"]),
        (["atari", "cpu"], ["cpu an action lasts 8 steps", "the task is atari_"]),
        (["atari_cpu"], []),
        (["dreamerv3_dmc_vision", "crafter_tasks"], []),
        (["dreamerv3_dmc_vision", "size12m"], []),
        (["planet", "debug"], []),
    ],
)
def test_presets_that_do_not_go_together_are_told(presets, parts):
    found = remarks_on(presets)
    assert bool(found) == bool(parts)
    for part in parts:
        assert any(part in remark for remark in found), found


def test_an_action_repeat_that_was_chosen_for_the_task_is_not_told():
    words = ["--configs", "dmc_proprio", "cpu", "--task", "gymnasium_Pendulum-v1"]
    assert "env.action_repeat 1 decides" in remarks_of(words)[0]
    assert remarks_of([*words, "--env.action_repeat", "1"]) == []


def test_a_run_that_goes_on_knows_its_agent():
    continued = config.load(["dreamerv3_gym"]).config
    [remark] = config.remarks(config.load(["cpu"]), continued, is_new=False)
    assert "the agent is dreamerv3" in remark
    assert config.remarks(config.load(["size200m"]), continued, is_new=False) == []
    [remark] = config.remarks(config.load([], {"planet.free_nats": 1}), continued, is_new=False)
    assert "the agent dreamerv3 does not read planet.free_nats" in remark


@pytest.mark.parametrize(
    ("words", "remarks"),
    [
        (
            ["--configs", "dreamerv3_dmc_vision", "--dreamer.imag_horizon", "30"],
            [
                "the agent dreamerv3 does not read dreamer.imag_horizon; did you mean "
                "dreamerv3.imag_horizon?"
            ],
        ),
        (  # This is DreamerV3, too.
            ["--task", "dmc_walker_walk", "--dreamer.value_model", "false"],
            ["the agent dreamerv3 does not read dreamer.value_model"],
        ),
        (["--agent", "mine:Dreamer", "--dreamer.imag_horizon", "30"], []),
        (["--configs", "dmc", "--dreamer.imag_horizon", "30", "--env.count", "2"], []),
        (["--configs", "dmc", "plan2explore", "--agent", "dreamer"], []),
    ],
)
def test_options_of_another_agent_are_told(words, remarks):
    assert remarks_of(words) == remarks


def test_no_preset_of_the_documentation_is_told_anything():
    root = pathlib.Path(__file__).parents[1]
    text = "".join(
        page.read_text("utf-8") for page in [*root.glob("*.md"), *root.glob("docs/*.md")]
    )
    found = set(re.findall(r"--configs((?: [a-z0-9_]+)+)", text))
    assert len(found) > 5 and not [names for names in found if remarks_on(names.split())]


def test_configs_given_twice_adds_up():
    words = ["--configs", "dmc", "--seed", "3", "--configs", "cpu"]
    assert config.parse_args(words) == config.parse_args(["--configs", "dmc", "cpu", "--seed", "3"])
