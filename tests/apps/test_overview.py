"""The list of commands, their versions, and completion in a real bash."""

import ast
import pathlib
import shlex
import subprocess

import pytest

import dreamer_tf
from dreamer_tf.apps import overview

ROOT = pathlib.Path(__file__).parents[2]


def test_the_commands_are_those_that_are_installed(capsys):
    overview.main([])
    shown = capsys.readouterr().out
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    scripts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith("dreamer-")
    ]
    installed = dict(text.split(" = ") for text in scripts if " = " in text)
    assert installed == {
        f"dreamer-{name}": f"dreamer_tf.apps.{place}"
        for name, (place, _) in overview.COMMANDS.items()
    }
    for name, (_, meaning) in overview.COMMANDS.items():
        assert f"dreamer-{name} " in shown and meaning in shown


@pytest.mark.parametrize("name", overview.COMMANDS)
def test_every_command_tells_its_version(name, capsys):
    with pytest.raises(SystemExit) as ended:
        overview.main([name, "--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"dreamer-{name} {dreamer_tf.__version__}\n"


def test_a_command_that_is_none_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as ended:
        overview.main(["evalute"])
    assert ended.value.code == 2 and "'evalute'; did you mean evaluate" in capsys.readouterr().err


@pytest.fixture(scope="module")
def script():
    return overview.completion()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "dreamer-train --configs dmc dreamerv3_dmc_p",
            {"dreamerv3_dmc_proprio", "dreamerv3_dmc_proprio_paper"},
        ),
        ("dreamer-train --run.eval_l", {"--run.eval_limit"}),
        ("dreamer-train --env.workers ", {"inline", "process", "ray"}),
        ("dreamer-train --task ", set()),
        ("dreamer-sweep --dry", {"--dry_run"}),
        (".venv/bin/dreamer-export --no", {"--no_litert"}),
        ("dreamer-evaluate --run.eval_l", set()),
        ("dreamer-plot --figure x --indi", {"--indir"}),
    ],
)
def test_bash_completes(script, words, expected):
    given = words.split(" ")
    call = f"""{script}
        complete -p dreamer-train > /dev/null || exit 1
        COMP_WORDS=({shlex.join(given)}); COMP_CWORD={len(given) - 1}
        _dreamer_tf {given[0]}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected and not done.stderr
