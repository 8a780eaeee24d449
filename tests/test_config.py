"""Options: values, overrides, their errors, help, and the saved config."""

import ast
import collections
import dataclasses
import pathlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamer_tf import config
from dreamer_tf.config.moved import MOVED
from dreamer_tf.config.options import text
from dreamer_tf.config.resolve import preset_title


def test_defaults_are_the_values_of_the_schema():
    resolved = config.load()
    assert resolved.config == config.Config()
    assert set(resolved.origins.values()) == {"default"}
    assert resolved.given() == {}


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        (["--steps", "1e6"], "steps", 1_000_000),
        (["--steps", "1_000"], "steps", 1000),
        (["--steps=20"], "steps", 20),
        (["--env.camera", "-1"], "env.camera", -1),
        (["--dreamer.kl_scale", "3e-4"], "dreamer.kl_scale", 3e-4),
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
        ([], ["--steps", "9" * 400], "expected a finite number, got 999"),
        ([], ["--dreamerv2.entropy_scale", "nan"], "expected a finite number, got nan"),
        ([], {"dreamerv2.entropy_scale": -1}, "expected at least 0, got -1"),
        ([], ["--dreamerv2.actor_gradient_mix", "7"], "expected at most 1, got 7"),
        ([], ["--steps"], "--steps (command line) takes one int, got nothing"),
        ([], ["--steps", "1", "2"], "takes one int, got 1 2"),
        ([], ["--jit", "1"], "jit (command line): expected bool"),
        ([], ["--env.image_size", "64"], "env.image_size .* expected int,int, such as '64,64'"),
        ([], ["--env.image_size", "0,64"], "env.image_size .* expected at least 1, got 0"),
        ([], ["--dreamer.discount", "1.5"], "expected at most 1, got 1.5"),
        ([], ["--planet.optimizer.learning_rate", "0"], "expected more than 0, got 0.0"),
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


def test_a_list_may_be_text_as_on_the_command_line():
    given = {"run.loggers": "tensorboard,wandb", "env.image_size": "32,48"}
    loaded = config.load([], given).config
    assert loaded.run.loggers == ("tensorboard", "wandb") and loaded.env.image_size == (32, 48)
    assert config.load([], {"run.loggers": "none"}).config.run.loggers == ("none",)
    for wrong, message in (("32", "int,int"), ("32,x", "'x'")):
        with pytest.raises(config.ConfigError, match=message):
            config.load([], {"env.image_size": wrong})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps: many\n", "steps (in {path}): expected int"),
        ("env: {cuont: 2}\n", "{path}: Unknown option 'env.cuont'. Did you mean 'env.count'"),
        ("- steps\n", "{path}: expected keys with values, got list"),
        ("steps: [1\n", "{path} is not valid YAML"),
        ("steps: 1\nsteps: 2\n", "{path} is not valid YAML"),
        ("task: \udce9\n", "{path} is not valid YAML"),
    ],
)
def test_a_wrong_config_file_is_named(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(config.ConfigError, match=re.escape(message.format(path=path))):
        config.load([str(path)])


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


def helped(capsys, *words):
    """What ``--help`` prints; no line of it is wider than a terminal."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setenv("COLUMNS", "80")
        config.parse_args(["--help", *words], "Trains an agent.")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    return " ".join(out.split())


def test_help_is_an_overview_of_presets_and_sections(capsys):
    shown = helped(capsys)
    assert "Trains an agent." in shown and "--task str" in shown
    assert "--help dreamerv3 " in shown and "--dreamerv3.imag_horizon" not in shown
    for name in config.preset_names():
        assert f" {name} {preset_title(name)}" in shown
        assert preset_title(name).endswith("."), "whole sentences"
    assert len(shown) < 12_000


def test_help_of_a_section_or_an_option_shows_that_alone(capsys):
    shown = helped(capsys, "dreamerv3")
    inside = [key for key in config.options() if key.startswith("dreamerv3.")]
    assert sorted(re.findall(r"--(\S+\.\w+)", shown)) == sorted(inside)
    assert re.findall(r"--(\S+\.\w+)", helped(capsys, "dreamerv3.rssm")) == [
        key for key in inside if key.startswith("dreamerv3.rssm.")
    ]
    assert helped(capsys, "run.eval_every").startswith("--run.eval_every int ")
    with pytest.raises(config.ConfigError, match="option 'dreamerv4'. Did you mean 'dreamerv"):
        config.parse_args(["--help", "dreamerv4"])


def test_help_all_shows_every_option_with_default_and_meaning(capsys):
    shown = helped(capsys, "all")
    for key, option in config.options().items():
        entry = shown[shown.index(f"--{key} ") :]
        default = text(option.default) or "empty"
        assert entry.index(f"(default: {default})") < 500
        assert option.text in entry


def test_print_config_shows_every_value_and_its_origin(capsys):
    with pytest.raises(SystemExit) as stop:
        config.parse_args(["--configs", "cpu", "--seed", "4", "--print_config"])
    assert stop.value.code == 0
    rows = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == list(config.options())
    assert ["seed", "4", "command line"] in rows
    assert ["logdir", "''", "default"] in rows
    assert ["env.render", "fast", "preset fast_dmc"] in rows  # Where it is written.


def test_a_command_prints_the_error_without_traceback(capsys):
    @config.command
    def main():
        config.load(["dcm"])

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("Unknown preset 'dcm'. Did you mean 'dmc'?\n")


def test_saved_config_reads_back_the_same_with_its_origins(tmp_path):
    resolved = config.load(["dmc", "cpu"], {"logdir": "runs/mine", "planet.kl_scale": 1e-5})
    path = config.save(resolved.config, tmp_path / "run", resolved.origins)
    assert config.read(tmp_path / "run") == resolved.config
    assert re.search(r"kl_scale: 1e-05 +# argument\n", path.read_text())
    assert re.search(r"batch_size: 24 +# preset cpu_training\n", path.read_text())
    assert [entry.name for entry in path.parent.iterdir()] == ["config.yaml"]
    again = config.load([str(path)]).config
    # A run that begins with its options has a folder of its own.
    assert config.differences(resolved.config, again) == [("logdir", "runs/mine", "")]


def test_a_home_folder_is_found_where_no_shell_has_replaced_it(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    assert config.parse_args(["--logdir=~/run"]).config.logdir == "/somebody/run"


_FINITE = {"allow_nan": False, "allow_infinity": False}


@given(
    task=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    learning_rate=st.floats(min_value=0, exclude_min=True, **_FINITE),
    scale=st.floats(min_value=0, **_FINITE),
    size=st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    jit=st.booleans(),
)
@settings(max_examples=12)  # Each reads a file with every option.
def test_any_allowed_value_survives_saving(tmp_path_factory, task, learning_rate, scale, size, jit):
    values = {
        "task": task,
        "dreamer.model_optimizer.learning_rate": learning_rate,
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


# ---------------------------------------------------------------- options that are said once


def test_no_option_is_declared_twice():
    declared = collections.Counter()
    for path in pathlib.Path(config.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Call):
                [target] = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                texts = [ast.unparse(argument) for argument in node.value.args]
                if ast.unparse(node.value.func) == "option":
                    declared[ast.unparse(target), texts[1]] += 1
                elif ast.unparse(node.value.func) == "_shared":
                    declared[ast.unparse(target), texts[0]] += 1
    assert len(declared) > 100
    assert not [name for name, count in declared.items() if count > 1]


def test_a_section_has_defaults_of_its_own():
    known = config.options()
    assert known["dreamerv3.reward.layers"].default == config.Config().dreamerv3.reward.layers == 1
    assert known["dreamerv3.critic.layers"].default == config.Config().dreamerv3.critic.layers == 3
    assert known["dreamerv3.reward.layers"].text == known["planet.reward.layers"].text


def test_base_is_no_option():
    assert "base" not in {key.partition(".")[0] for key in config.options()}


# ---------------------------------------------------------------- options with a new name

OLD_CONFIG = """
agent: dreamerv2
replay:
  context: true
dreamer:
  model_lr: 0.001                       # preset cpu
  adam_epsilon: 1e-05
  kl_scale: 0.5
dreamerv2:
  explore:
    lr: 0.002
    models: 5
  model_lr: 0.003
  actor_lr: 0.004
  critic_lr: 0.005
  adam_epsilon: 1e-06
  weight_decay: 1e-03
  grad_clip: 7.0
planet:
  learning_rate: 0.006
  grad_clip: 8.0
"""


def test_a_run_from_before_is_read_with_the_new_names(tmp_path):
    (tmp_path / "config.yaml").write_text(OLD_CONFIG)
    read = config.read(tmp_path)
    assert read == config.load([str(tmp_path / "config.yaml")]).config
    assert read.replay.carry and read.dreamer.kl_scale == 0.5
    assert read.dreamer.model_optimizer == config.OptimizerConfig(1e-3, 1e-5, 100.0, 0.0)
    assert read.dreamer.critic_optimizer == config.OptimizerConfig(8e-5, 1e-5, 100.0, 0.0)
    assert read.dreamerv2.explore.models == 5
    optimizers = [
        read.dreamerv2.model_optimizer,
        read.dreamerv2.actor_optimizer,
        read.dreamerv2.critic_optimizer,
        read.dreamerv2.explore.optimizer,
    ]
    expected = [config.OptimizerConfig(lr, 1e-6, 7.0, 1e-3) for lr in (3e-3, 4e-3, 5e-3, 2e-3)]
    assert optimizers == expected
    assert read.planet.optimizer == config.OptimizerConfig(6e-3, 1e-4, 8.0, 0.0)


def test_a_new_name_beside_an_old_one_counts(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("planet: {optimizer: {grad_clip: 2.0}, grad_clip: 1.0}\n")
    assert config.load([str(path)]).config.planet.optimizer.grad_clip == 2.0


def test_every_moved_option_leads_to_one_that_is_there():
    known = config.options()
    assert not MOVED.keys() & known.keys()
    assert {new for names in MOVED.values() for new in names} <= known.keys()


@pytest.mark.parametrize(
    "given", [["--dreamer.model_lr", "1"], {"dreamer.model_lr": 1}, {"dreamer": {"model_lr": 1}}]
)
def test_an_old_name_that_is_given_now_is_an_error_with_the_new_one(given):
    message = "dreamer.model_lr is now dreamer.model_optimizer.learning_rate"
    with pytest.raises(config.ConfigError, match=message):
        config.load([], given)


@pytest.mark.parametrize("key", ["beta1", "beta2"])
def test_an_average_must_take_in_what_is_new(key):
    with pytest.raises(config.ConfigError, match=f"{key} .*less than 1"):
        config.load([], {f"dreamerv3.optimizer.{key}": 1})


def test_an_option_that_was_one_and_is_two_is_read_into_both(tmp_path):
    (tmp_path / "mine.yaml").write_text("dreamerv3: {bins: 41}\n")
    loaded = config.load([str(tmp_path / "mine.yaml")]).config.dreamerv3
    assert loaded.reward.bins == loaded.critic.bins == 41


def test_a_run_from_before_an_option_was_parted_keeps_what_both_had(tmp_path):
    config.save(config.load([], {"dreamerv3.return_lambda": 0.9}).config, tmp_path)
    assert config.read(tmp_path).dreamerv3.replay_lambda == 0.95
    lines = (tmp_path / "config.yaml").read_text().splitlines(keepends=True)
    earlier = [line for line in lines if "replay_lambda" not in line]
    (tmp_path / "config.yaml").write_text("".join(earlier))
    assert config.read(tmp_path).dreamerv3.replay_lambda == 0.9


def test_an_environment_of_ones_own_is_a_task():
    assert config.parse_args(["--env", "my_robot:Arm"]).config.task == "my_robot:Arm"
    with pytest.raises(config.ConfigError, match="--env takes module:name.*got 'robot'.*env.count"):
        config.parse_args(["--env", "robot"])


def test_a_task_without_presets_and_agent_gets_what_python_gives_it(tmp_path, capsys):
    words = ["--env", "my_robot:Arm", "--steps", "900"]
    expected = config.load(["dreamerv3_gym"], {"task": "my_robot:Arm", "steps": 900}).config
    resolved = config.parse_args(words, suitable=True)
    assert (resolved.config, resolved.choose_size) == (expected, True)
    with pytest.raises(SystemExit):
        config.parse_args([*words, "--print_config"], suitable=True)
    shown = capsys.readouterr().out
    assert re.search("^agent +dreamerv3 +preset", shown, re.MULTILINE)
    assert shown.endswith("without a GPU, the preset dreamerv3_quick\n")

    config.save(expected, tmp_path)  # A run that is there keeps its own.
    for other in (["--configs", "dmc"], ["--agent", "planet"], ["--logdir", str(tmp_path)]):
        assert not config.parse_args([*words, *other], suitable=True).choose_size
    assert not config.parse_args(["--seed", "1"], suitable=True).choose_size


def test_a_class_of_ones_own_has_the_options_of_the_agent_that_it_derives_from():
    resolved = config.load(["dreamerv3_gym", "size12m"], {"agent": "mine:Frugal"})
    assert not config.remarks(resolved, resolved.config)
    changed = config.change_acting(resolved.config, {"dreamerv3.policy": "planner"})
    assert changed.dreamerv3.policy == "planner"
    ours = config.load(["dreamerv3_gym"]).config
    with pytest.raises(config.ConfigError, match="none of the run's agent, which is dreamerv3"):
        config.change_acting(ours, {"planet.planner.horizon": 3})


def test_what_one_start_may_do_is_not_kept(tmp_path):
    given = config.load([], {"run.new_task": True, "run.start_anew": True, "seed": 3})
    config.save(given.config, tmp_path, given.origins)
    assert config.read(tmp_path) == config.load([], {"seed": 3}).config
    assert config.differences(given.config, config.read(tmp_path)) == []


@pytest.mark.parametrize(
    "content", ["run: &a\n  prefill: *a\n", "&a [*a]", "env: {kwargs: &a {b: [*a]}}"]
)
def test_an_alias_that_leads_back_is_refused(tmp_path, content):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(config.ConfigError, match="leads back|expected keys with values"):
        config.load([str(tmp_path / "mine.yaml")])
    with pytest.raises(config.ConfigError, match="leads back"):
        config.load([], ["--env.kwargs", "{a: &a [*a]}"])
