"""The documentation against the program: commands, links, presets, settings and metrics."""

import ast
import inspect
import pathlib
import re
import shlex

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf import envs
from dreamer_tf.apps import commands
from dreamer_tf.config.options import options, parse
from dreamer_tf.config.resolve import preset_names
from dreamer_tf.specs import Space, row_spaces

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

TRAIN = ("scripts/train.py", "dreamer-train")
EVALUATE = ("scripts/evaluate.py", "dreamer-evaluate")
AGENT_OPTIONS = ("dreamer.", "dreamerv2.", "dreamerv3.", "planet.")


def code_blocks(text, language):
    """The contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shell_commands(text):
    """The words of every command in shell blocks, and of inline ``make`` calls."""
    lines = [line for block in code_blocks(text, "sh") for line in block.splitlines()]
    lines += re.findall(r"`(make [^`]+)`", text)
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def arguments(programs):
    """The arguments with which a page calls one of the programs, also by ``make train``."""
    found = []
    for words in shell_commands("\n".join([README, *DOCS.values()])):
        if words[:2] == ["make", "train"] and programs is TRAIN:
            given = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
            found += [shlex.split(value) for value in given]
        places = [i for i, word in enumerate(words) if word.endswith(programs)]
        found += [words[i + 1 :] for i in places]
    return found


def table_rows(text):
    """The cells of every line of every table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("words", arguments(TRAIN), ids=" ".join)
def test_training_commands_are_accepted(words, capsys):
    if "--help" not in words:
        words = [*words, "--print_config"]
    with pytest.raises(SystemExit) as stop:
        commands.train(words)
    assert not stop.value.code, capsys.readouterr().err


def test_evaluation_commands_use_existing_options(capsys):
    with pytest.raises(SystemExit):
        commands.evaluate(["--help"])
    known = re.findall(r"--\w+", capsys.readouterr().out)
    used = {word for words in arguments(EVALUATE) for word in words if word.startswith("--")}
    acting = {word for word in used if "." in word}
    assert used - acting and used - acting <= set(known)
    assert acting and {word.removeprefix("--") for word in acting} <= options().keys()


def test_the_readme_says_what_make_train_does():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [default] = re.findall(r"^train: ARGS \?= (.+)$", makefile, re.MULTILINE)
    assert f"scripts/train.py {default}\n" in README


def test_python_of_the_readme_calls_what_exists():
    trees = [ast.parse(block) for block in code_blocks(README, "python")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [node for node in nodes if ast.unparse(node.func).startswith("dreamer.")]
    assert {call.func.attr for call in calls} == {"train", "load", "evaluate"}
    for call in calls:
        named = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        inspect.signature(getattr(dreamer_tf, call.func.attr)).bind(*call.args, **named)
        for unpacked in [keyword.value for keyword in call.keywords if not keyword.arg]:
            configs.load((), ast.literal_eval(unpacked))


def test_the_readmes_own_environment_works():
    [block] = [block for block in code_blocks(README, "python") if "class Point" in block]
    [definition] = [node for node in ast.parse(block).body if isinstance(node, ast.ClassDef)]
    names = {"np": np, "gymnasium": gymnasium}
    exec(compile(ast.Module([definition], []), "README.md", "exec"), names)
    text = envs.check_env(names["Point"])
    assert "vector: Space(float32, (1,), -2 to 2)" in text
    assert "episode: 200 steps (1 frames per step), cut off" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def anchors(page):
    """The anchors that a Markdown page's headings have."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_equations_names_what_is_there():
    rows = [row for row in table_rows(DOCS["equations.md"]) if "dreamer_tf/" in row[-1]]
    for _, cell in rows:
        sources = re.findall(r"\]\(\.\./(dreamer_tf/\S+?\.py)\)", cell)
        defined = {
            node.name
            for source in sources
            for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        named = [name for name in re.findall(r"`([\w.]+)`", cell) if not name.endswith(".py")]
        assert {part for name in named for part in name.split(".")} <= defined, cell


@pytest.mark.parametrize("agent, last", [("Dreamer", 10), ("DreamerV3", 7)])
def test_the_table_of_equations_has_every_equation(agent, last):
    [section] = re.findall(rf"^## {agent}\n(.*?)(?:^## |\Z)", DOCS["equations.md"], re.M | re.S)
    numbers = set()
    for paper, _ in table_rows(section)[2:]:
        for first, end in re.findall(r"\((\d+)\)(?:–\((\d+)\))?", paper):
            numbers |= set(range(int(first), int(end or first) + 1))
    assert numbers >= set(range(1, last + 1))


def test_every_preset_and_every_base_is_described():
    first_lines = {
        name: (ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        for name in preset_names()
    }
    bases = {name for name, line in first_lines.items() if line.startswith("# Base: ")}
    described = [
        {cells[0].strip("`") for cells in table_rows(part)[2:]}
        for part in DOCS["presets.md"].split("\n## Bases\n")
    ]
    assert described == [first_lines.keys() - bases, bases]


def settings_tables():
    """The tables of options: the words after ``--configs`` of each column, and the rows.

    Their header is ``option``, columns that name presets in backticks, and ``used in``.
    """
    for table in re.findall(r"^\| option \|.*\n(?:\|.*\n)+", DOCS["settings.md"], re.MULTILINE):
        header, _, *rows = table_rows(table)
        assert header[-1] == "used in"
        yield [re.search("`(.+)`", cell)[1].split() for cell in header[1:-1]], rows


def test_the_tables_of_settings_have_the_values_of_the_presets():
    listed, wrong = set(), {}
    for presets, rows in settings_tables():
        columns = [configs.flatten(configs.load(names).config) for names in presets]
        for cell, *cells, _ in rows:
            key = cell.strip("`")
            listed.add(key)
            values = [column[key] for column in columns]
            shown = [cell.strip(" °") for cell in cells]
            if [parse(options()[key], [cell], "docs/settings.md") for cell in shown] != values:
                wrong[key] = f"{shown} should be {values}"
    assert not wrong
    demanded = {key for key in options() if key.startswith(AGENT_OPTIONS)}
    assert listed >= demanded | {"replay.batch_size", "replay.batch_length"}


def test_the_table_of_discrete_control_has_every_value_that_atari_changes():
    [rows] = [rows for presets, rows in settings_tables() if presets == [["dmc"], ["atari"]]]
    dmc, atari = (configs.load([name]).config for name in ("dmc", "atari"))
    changed = {key for key, *_ in configs.differences(dmc, atari)}
    assert {cells[0].strip("`") for cells in rows} >= changed


def test_the_walks_name_what_exists():
    text = DOCS["architecture.md"]
    walks = text[text.index("\n## One update") : text.index("\n## The measure")]
    files = re.findall(r"`(\w+/\w+\.py)`", walks)
    assert len(files) > 20
    assert not [file for file in files if not (ROOT / "dreamer_tf" / file).is_file()]
    functions = re.findall(r"`(\w+/\w+\.py)`\)?,\s+`([\w.]+)`", walks)
    assert len(functions) > 12
    for file, name in functions:
        tree = ast.parse((ROOT / "dreamer_tf" / file).read_text(encoding="utf-8"))
        assert set(name.split(".")) <= {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }, (file, name)


CONTINUOUS = Space(np.float32, (1,), -1, 1)
DISCRETE = Space(np.int32, (), 0, 2)


def tiny_agent(action, overrides):
    """An agent with every kind of observation, and a batch for it."""
    from dreamer_tf import agents

    config = configs.load(["debug"], overrides).config
    obs_space = {"image": Space(np.uint8, (16, 16, 3)), "vector": Space(np.float32, (2,))}
    act_space = {"action": action}
    batch = {
        key: tf.zeros((2, 7, *space.shape), space.dtype)
        for key, space in row_spaces(obs_space, act_space).items()
    }
    return agents.make(config, obs_space, act_space), batch


@pytest.mark.parametrize(
    "action, overrides",
    [
        (CONTINUOUS, {"dreamer.discount_model": True}),
        (DISCRETE, {"dreamer.discount_model": True, "dreamer.objective": "contrastive"}),
        (CONTINUOUS, {"agent": "planet", "planet.overshooting_scale": 1.0}),
        (CONTINUOUS, {"agent": "dreamerv2", "dreamerv2.discount_model": True}),
        (DISCRETE, {"agent": "dreamerv2", "dreamerv2.actor_gradient": "both"}),
        (CONTINUOUS, {"agent": "dreamerv2", "dreamerv2.explore.behavior": "plan2explore"}),
        (CONTINUOUS, {"agent": "dreamerv3", "dreamerv3.harmony": True}),
        (CONTINUOUS, {"agent": "dreamerv3", "dreamerv3.objective": "r2"}),
        (CONTINUOUS, {"agent": "dreamerv3", "dreamerv3.objective": "infonce"}),
        (CONTINUOUS, {"agent": "dreamerv3", "dreamerv3.objective": "dreamerpro"}),
    ],
    ids=[
        "dreamer",
        "discrete",
        "planet",
        "dreamerv2",
        "dreamerv2-both",
        "plan2explore",
        "dreamerv3",
        "r2",
        "infonce",
        "dreamerpro",
    ],
)
def test_every_metric_of_the_agent_is_documented(action, overrides):
    agent, batch = tiny_agent(action, overrides)
    # Compiling would take longer than an update.
    metrics, _ = agent.update(batch, agent.update_noise(2, 7), agent.initial_carry(2))
    report = [key for key in agent.report(batch) if not key.startswith("openloop/")]
    documented = {
        name
        for cells in table_rows(DOCS["metrics.md"])
        for name in re.findall("`([^`]+)`", cells[0])
    }
    names = {
        re.sub(r"^(openloop_)?(image|vector)_", r"\1<key>_", key) for key in [*metrics, *report]
    }
    # The exploring behaviour has the metrics of the task's.
    own = {name for name in names if name.startswith("explore_") and name not in documented}
    names = names - own | {name.removeprefix("explore_") for name in own}
    assert not own or "explore_<name>" in documented
    if overrides.get("agent") == "dreamerv3":
        names = {re.sub("^action_", "<action>_", name) for name in names}
    assert len(names) > 10
    assert names <= documented, f"missing in docs/metrics.md: {sorted(names - documented)}"
