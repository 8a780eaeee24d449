"""Options that hold names with values of any type."""

import pytest

from dreamer_tf import config
from dreamer_tf.runs.run_folder import continue_config


def test_a_mapping_is_one_option_however_it_is_given():
    expected = '{"name": "arm", "sizes": [1, 2], "true": true}'
    mapping = {"name": "arm", "sizes": [1, 2], "true": True}
    words = ["--env.kwargs", "name=arm", "sizes=[1, 2]", "true=true"]
    single = ["--env.kwargs.name", "arm", "--env.kwargs.sizes", "[1, 2]", "--env.kwargs.true=true"]
    for overrides in (
        {"env.kwargs": mapping},
        {"env": {"kwargs": mapping}},
        {"env.kwargs": expected},
        words,
        single,
        ["--env.kwargs", expected],
        ["--env.kwargs", "{name: arm, sizes: [1, 2], 'true': true}"],
    ):
        assert config.load([], overrides).config.env.kwargs == expected
    assert config.from_text(expected) == mapping and config.from_text("") == {}


def test_a_name_set_alone_leaves_the_others_that_lie_beneath(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("env: {kwargs: {size: 5, name: arm}}\n")

    def loaded(*words, presets=(str(path),)):
        return config.load(presets, words)

    def kwargs(resolved):
        return config.from_text(resolved.config.env.kwargs)

    one = loaded("--env.kwargs.size", "7", "--env.kwargs.speed", "2")
    assert kwargs(one) == {"size": 7, "speed": 2, "name": "arm"}
    assert one.origins["env.kwargs"] == "command line"
    assert kwargs(loaded("--env.kwargs", "size=7")) == {"size": 7}
    assert kwargs(loaded("--env.kwargs", "a=1", "--env.kwargs.b", "2")) == {"a": 1, "b": 2}
    assert kwargs(loaded("--env.kwargs.b", "2", "--env.kwargs", "a=1")) == {"a": 1}
    first = loaded("--env.kwargs.size", "7", presets=())
    assert config.add_preset(first, str(path)) == loaded("--env.kwargs.size", "7")

    continued, changes = continue_config(loaded("--env.kwargs.size", "7", presets=()), tmp_path)
    assert kwargs(continued) == {"size": 7, "name": "arm"}
    assert [key for key, *_ in changes] == ["env.kwargs"]
    continued, _ = continue_config(loaded("--env.kwargs", "size=7", presets=()), tmp_path)
    assert kwargs(continued) == {"size": 7}


def test_numbers_and_text_of_a_mapping_stay_what_they_are(tmp_path):
    resolved = config.load([], {"env.kwargs": {"force": float("inf"), "name": "#fff"}})
    config.save(resolved.config, tmp_path)
    kept = config.from_text(config.read(tmp_path).env.kwargs)
    assert kept == {"force": float("inf"), "name": "#fff"}
    words = [
        "--env.kwargs",
        "color=red #fff",
        "none=null",
        "empty=",
        "force=.inf",
        "kinds=['#']",
    ]
    given = config.from_text(config.load([], words).config.env.kwargs)
    expected = {"color": "red #fff", "none": None, "empty": None, "force": float("inf")}
    assert given == expected | {"kinds": ["#"]}


@pytest.mark.parametrize("overrides", [
    {"env.kwargs": [1]},
    {"env.kwargs": {"lock": object()}},
    ["--env.kwargs", "size"],
    ["--env.kwargs", "{size: "],
    ["--env.kwargs", "size=["],
])  # fmt: skip
def test_what_is_no_mapping_says_what_would_be(overrides):
    with pytest.raises(config.ConfigError, match="env.kwargs.*expected"):
        config.load([], overrides)


def test_a_mapping_survives_the_run_folder(tmp_path):
    resolved = config.load([], {"env.kwargs": {"size": 5}})
    config.save(resolved.config, tmp_path)
    assert config.from_text(config.read(tmp_path).env.kwargs) == {"size": 5}
