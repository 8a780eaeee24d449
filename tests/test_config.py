"""Presets, overrides, their errors, and the saved config."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamer_tf import config
from dreamer_tf.config.files import preset_folder, preset_title
from dreamer_tf.config.options import text


def test_defaults_are_the_values_of_the_schema():
    resolved = config.load()
    assert resolved.config == config.Config()
    assert set(resolved.origins.values()) == {"default"}
    assert resolved.given() == {}


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
    assert resolved.config.dreamer.grad_clip == config.read_preset("dmc")["dreamer.grad_clip"]
    assert resolved.origins["replay.batch_size"] == "argument"
    assert resolved.origins["replay.batch_length"] == "preset cpu"
    assert resolved.origins["dreamer.grad_clip"] == "preset dmc"
    assert resolved.origins["task"] == "default"
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


def test_dmc_tf2_has_the_sizes_of_the_authors_code():
    agent = config.load(["dmc_tf2"]).config.dreamer
    sizes = [(head.layers, head.units) for head in (agent.reward, agent.critic, agent.actor)]
    assert sizes == [(2, 400), (3, 400), (4, 400)]
    assert config.load(["dmc_tf2"]).config.run.pretrain == 100


def test_atari_has_the_numbers_of_the_papers_discrete_control():
    atari = config.load(["atari"]).config
    assert (atari.env.action_repeat, atari.env.time_limit) == (4, 27_000)
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
    # The name of the agent is no measured quantity.
    bare = [line for line in values if " # " not in line and not line.startswith("agent:")]
    assert values and not bare


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        (["--steps", "1e6"], "steps", 1_000_000),
        (["--steps", "1_000"], "steps", 1000),
        (["--steps=20"], "steps", 20),
        (["--env.camera", "-1"], "env.camera", -1),
        (["--dreamer.model_lr", "3e-4"], "dreamer.model_lr", 3e-4),
        (["--run.train_updates", "2"], "run.train_updates", 2.0),
        (["--jit", "True"], "jit", True),
        (["--jit=false"], "jit", False),
        (["--env.image_size", "32,48"], "env.image_size", (32, 48)),
        (["--env.image_size", "32", "48"], "env.image_size", (32, 48)),
        (["--env.image_size=32,48"], "env.image_size", (32, 48)),
        (["--task", "gymnasium_CartPole-v1"], "task", "gymnasium_CartPole-v1"),
        (["--logdir="], "logdir", ""),
        (["--seed", "1", "--seed", "2"], "seed", 2),
    ],
)
def test_words_of_the_command_line_get_the_type_of_the_option(words, key, expected):
    resolved = config.load([], words)
    value = config.flatten(resolved.config)[key]
    assert value == expected and type(value) is type(expected)
    assert resolved.origins[key] == "command line"


def test_overrides_from_python_may_be_dotted_or_nested():
    dotted = config.load([], {"env.count": 3, "dreamer.rssm.deter": 5}).config
    nested = config.load([], {"env": {"count": 3}, "dreamer": {"rssm": {"deter": 5}}}).config
    assert dotted == nested
    assert (nested.env.count, nested.dreamer.rssm.deter) == (3, 5)


@pytest.mark.parametrize(
    "given", [{"dreamerv2.entropy_scale": 3e-3}, ["--dreamerv2.entropy_scale=3e-3"]]
)
def test_a_number_serves_where_a_schedule_could_stand(given):
    assert float(config.load([], given).config.dreamerv2.entropy_scale) == 3e-3


@pytest.mark.parametrize(
    ("presets", "overrides", "message"),
    [
        (["dcm"], [], "Unknown preset 'dcm'. Did you mean 'dmc'"),
        (["zzzzz"], [], "The presets are atari, atari_cpu, cpu, "),
        (["no/such.yaml"], [], "no config file 'no/such.yaml'"),
        ("dmc", [], "expected a list of names"),
        ([], ["--dreamer.rsm.deter", "3"], "Unknown option .* mean 'dreamer.rssm.deter'"),
        ([], ["--deter", "3"], "Did you mean 'dreamer.rssm.deter'"),
        ([], ["--qqqqqq", "3"], "No name comes near"),
        ([], {"env.cuont": 2}, "Did you mean .*'env.count'"),
        ([], ["--env", "3"], "'env' is a group of options"),
        ([], ["3"], "Expected an option such as --task, got '3'"),
        ([], ["--steps", "many"], "steps (command line): expected int, .* got str 'many'"),
        ([], ["--steps", "1.5"], "steps (command line): expected int, .* got float 1.5"),
        ([], ["--steps", "inf"], "expected a finite number, got inf"),
        ([], ["--steps"], "--steps (command line) takes one int, got nothing"),
        ([], ["--steps", "1", "2"], "takes one int, got 1 2"),
        ([], ["--jit", "1"], "jit (command line): expected bool"),
        ([], ["--env.image_size", "64"], "env.image_size .* expected int,int, such as '64,64'"),
        ([], ["--env.image_size", "0,64"], "env.image_size .* expected at least 1, got 0"),
        ([], ["--dreamer.discount", "1.5"], "expected at most 1, got 1.5"),
        ([], ["--dreamer.model_lr", "0"], "expected more than 0, got 0.0"),
        ([], ["--env.render", "fst"], "one of full, fast, got 'fst'. Did you mean 'fast'"),
        ([], {"env.count": "2"}, "env.count (argument): expected int, .* got str '2'"),
        ([], {"env.count": True}, "env.count (argument): expected int, .* got bool True"),
        ([], {"task": 3}, "task (argument): expected str"),
        ([], {"dreamer.kl_scale": None}, "expected float, .* got NoneType"),
    ],
)
def test_a_wrong_name_or_value_says_what_would_be_right(presets, overrides, message):
    pattern = re.escape(message).replace(r"\.\*", ".*").replace(r"\ ", " ")
    with pytest.raises(config.ConfigError, match=pattern):
        config.load(presets, overrides)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps: many\n", "steps (in {path}): expected int"),
        ("env: {cuont: 2}\n", "{path}: Unknown option 'env.cuont'. Did you mean 'env.count'"),
        ("- steps\n", "{path}: expected keys with values, got list"),
        ("steps: [1\n", "{path} is not valid YAML"),
        ("steps: 1\nsteps: 2\n", "{path} is not valid YAML"),
    ],
)
def test_a_wrong_config_file_is_named(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(config.ConfigError, match=re.escape(message.format(path=path))):
        config.load([str(path)])


def test_an_own_file_serves_as_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 1e3\nenv: {image_size: [32, 32]}\n")
    resolved = config.load(["dmc", str(path)])
    assert resolved.config.steps == 1000 and isinstance(resolved.config.steps, int)
    assert resolved.config.env.image_size == (32, 32)
    assert resolved.origins["steps"] == f"preset {path}"


def test_command_line_gathers_presets_and_overrides():
    resolved = config.parse_args(["--configs", "dmc", "cpu", "--task", "dmc_cup_catch"])
    assert resolved == config.load(["dmc", "cpu"], ["--task", "dmc_cup_catch"])
    assert config.parse_args(["--configs=dmc", "--configs", "cpu", "--task=dmc_cup_catch"]) == (
        resolved
    )


@pytest.mark.parametrize("argv", [["--configs"], ["--configs", "--seed", "1"]])
def test_configs_without_a_name_lists_the_presets(argv):
    with pytest.raises(config.ConfigError, match="needs names among atari, atari_cpu, cpu, debug"):
        config.parse_args(argv)


def test_help_shows_every_option_with_default_and_meaning(capsys):
    with pytest.raises(SystemExit) as stop:
        config.parse_args(["--help"], "Trains an agent.")
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Trains an agent." in shown
    for key, option in config.options().items():
        entry = shown[shown.index(f"--{key} ") :]
        default = text(option.default) or "empty"
        assert entry.index(f"(default: {default})") < 500
        assert option.text in entry
    for name in config.preset_names():
        assert f" {name} {preset_title(name)}" in shown


def test_print_config_shows_every_value_and_its_origin(capsys):
    with pytest.raises(SystemExit) as stop:
        config.parse_args(["--configs", "cpu", "--seed", "4", "--print_config"])
    assert stop.value.code == 0
    rows = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == list(config.options())
    assert ["seed", "4", "command line"] in rows
    assert ["logdir", "''", "default"] in rows
    assert [row for row in rows if row[0] == "env.render"] == [["env.render", "fast", "preset cpu"]]


def test_a_command_prints_the_error_without_traceback(capsys):
    @config.command
    def main():
        config.load(["dcm"])

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("Unknown preset 'dcm'. Did you mean 'dmc'?\n")


def test_saved_config_reads_back_the_same_with_its_origins(tmp_path):
    resolved = config.load(["dmc", "cpu"], {"logdir": str(tmp_path), "dreamer.model_lr": 1e-5})
    path = config.save(resolved.config, tmp_path / "run", resolved.origins)
    assert config.read(tmp_path / "run") == resolved.config
    assert re.search(r"model_lr: 1e-05 +# argument\n", path.read_text())
    assert [entry.name for entry in path.parent.iterdir()] == ["config.yaml"]
    assert config.load([str(path)]).config == resolved.config


_FINITE = {"allow_nan": False, "allow_infinity": False}


@given(
    task=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    learning_rate=st.floats(min_value=0, exclude_min=True, **_FINITE),
    scale=st.floats(min_value=0, **_FINITE),
    size=st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    jit=st.booleans(),
)
def test_any_allowed_value_survives_saving(tmp_path_factory, task, learning_rate, scale, size, jit):
    values = {
        "task": task,
        "dreamer.model_lr": learning_rate,
        "dreamer.kl_scale": scale,
        "env.image_size": size,
        "jit": jit,
    }
    resolved = config.load([], values)
    folder = tmp_path_factory.mktemp("run")
    config.save(resolved.config, folder, resolved.origins)
    assert config.read(folder) == resolved.config


def test_reading_a_folder_without_config_says_so(tmp_path):
    with pytest.raises(config.ConfigError, match=r"No config\.yaml in .* expected a run folder"):
        config.read(tmp_path)


def test_differences_name_key_old_and_new():
    old = config.load(["dmc"]).config
    new = config.load(["dmc"], {"seed": 3, "dreamer.rssm.deter": 9}).config
    assert config.differences(old, old) == []
    assert config.differences(old, new) == [("seed", 0, 3), ("dreamer.rssm.deter", 200, 9)]


def test_every_default_satisfies_its_own_bounds():
    defaults = {key: option.default for key, option in config.options().items()}
    assert config.load([], defaults).config == config.Config()


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.Config().seed = 1
