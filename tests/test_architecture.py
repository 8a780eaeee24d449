"""The rules about which room may import which, held over the syntax trees."""

import ast
import pathlib
import re
import sys

import pytest

from tests.thorough import THOROUGH

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dreamer_tf"
LONGEST_FILE = 450

BLOCKS = {"specs", "ops", "distributions", "nn"}
PARTS = BLOCKS | {"world_model", "behaviors", "optim"}
# room -> the rooms of this package that it may import, besides itself
ALLOWED = {
    "common": set(),
    "specs": set(),
    "config": set(),
    "ops": {"specs"},
    "distributions": {"specs", "ops"},
    "nn": {"specs", "ops", "distributions"},
    "world_model": BLOCKS,
    "behaviors": BLOCKS | {"world_model"},
    "optim": BLOCKS,
    "envs": {"specs"},
    "replay": {"specs"},
    "export": {"specs", "ops"},
    "agents": PARTS | {"config", "export"},
    "runs": {"specs", "config"},
    "training": PARTS | {"config", "envs", "replay", "agents", "export", "runs"},
    # Applications, each a room of its own.
    "apps.figures": {"config", "runs"},
    "apps.report": {"config", "runs", "apps.figures"},
    "apps.api": {"specs", "config", "envs", "replay", "export", "agents", "runs", "training"}
    | {"apps.report"},
    "apps.commands": {"config", "envs", "replay", "export", "runs", "training"}
    | {"apps.report", "apps.api"},
    "apps.train": {"apps.commands"},
    "apps.overview": {"config"},  # It imports a command when that is started.
    "__main__": {"apps.overview"},
    "apps.sweep": {"config", "runs", "apps.figures", "apps.commands"},
    "apps.benchmark": {"specs", "optim", "config", "envs", "runs", "training", "apps.commands"},
    "apps.dream": {"specs", "config", "replay", "export", "behaviors", "runs"}
    | {"apps.figures", "apps.report", "apps.api", "apps.commands"},
}
EVERYWHERE = {"common"}
NO_CONCRETE_AGENT = {"runs", "training", "apps.dream"}
INTERFACE = {"base"}  # the module of agents that stands for all of them
WITHOUT_TENSORFLOW = {"common", "specs", "config", "envs", "replay"}
WITHOUT_TENSORFLOW |= {"apps.figures", "apps.report", "apps.sweep"}
TENSORFLOW = {"tensorflow", "tensorflow_probability", "keras", "tf_keras"}
# room -> the packages that it may import; other rooms: any
ONLY = {
    "common": sys.stdlib_module_names,
    "config": sys.stdlib_module_names | {"ruamel"},
}


def imports(source, at_run_time=False):
    """The dotted names that a source imports, wherever in it; (line, name).

    Args:
      source: Its text.
      at_run_time: Whether to pass over what only a type checker imports.
    """
    tree = ast.parse(source)
    for node in [node for node in ast.walk(tree) if at_run_time and isinstance(node, ast.If)]:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def violations(room, source):
    """What a source in a room imports against the rules."""
    found = []
    for line, name in imports(source):
        package, _, rest = name.partition(".")
        target, member = split_room(rest)
        if not package:
            found.append(f"{line}: relative import {name}")
        elif package == "dreamer_tf":
            if target not in ALLOWED[room] | EVERYWHERE | {room, "", "__version__"}:
                found.append(f"{line}: {room} imports {name}")
            elif room in NO_CONCRETE_AGENT and target == "agents" and _is_concrete_agent(member):
                found.append(f"{line}: {room} names a concrete agent: {name}")
        elif not _may_be_imported(room, package):
            found.append(f"{line}: {room} imports {name}")
    return found


def split_room(name):
    """The room in a dotted name below the package, and the rest of the name."""
    words = name.split(".")
    count = 2 if words[0] == "apps" else 1
    return ".".join(words[:count]), ".".join(words[count:])


def _may_be_imported(room, package):
    if room in WITHOUT_TENSORFLOW and package in TENSORFLOW:
        return False
    return package in ONLY.get(room, {package})


def _is_concrete_agent(member):
    module = member.partition(".")[0]
    return (PACKAGE / "agents" / f"{module}.py").is_file() and module not in INTERFACE


def rooms():
    """(room, file) for every source of the package but its ``__init__``."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts not in (("__init__",), ("apps", "__init__")):
            yield split_room(".".join(parts))[0], path


@pytest.mark.parametrize("room", sorted({room for room, _ in rooms()}))
def test_a_room_imports_only_what_lies_below_it(room):
    assert room in ALLOWED, f"say in ALLOWED what the new room {room!r} may import"
    found = [
        f"{path.relative_to(ROOT)}:{violation}"
        for other, path in rooms()
        if other == room
        for violation in violations(room, path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_the_allowed_imports_have_no_cycle():
    left = dict(ALLOWED)
    while left:
        free = [room for room, below in left.items() if not below & left.keys()]
        assert free, f"a cycle among {sorted(left)}"
        for room in free:
            del left[room]


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("nn", "from dreamer_tf.agents import base"),
        ("apps.dream", "from dreamer_tf.agents.planet import PlaNet"),
        ("runs", "from dreamer_tf.training import loop"),
        ("training", "from dreamer_tf.apps import commands"),
        ("training", "from dreamer_tf.apps.report.document import write_report"),
        ("apps.figures", "from dreamer_tf.apps import report"),
        ("apps.report", "import keras"),
        ("nn", "def build():\n    from dreamer_tf import config"),
        ("world_model", "import dreamer_tf.behaviors.actor"),
        ("envs", "import dreamer_tf.config as settings"),
        ("envs", "import tensorflow as tf"),
        ("replay", "from keras import ops"),
        ("config", "import numpy as np"),
        ("common", "import numpy as np"),
        ("common", "from dreamer_tf import specs"),
        ("ops", "from . import images"),
    ],
)
def test_a_forbidden_import_is_seen(room, source):
    assert len(violations(room, source)) == 1


def test_an_allowed_import_is_not_reported():
    source = (
        "import numpy as np\nfrom dreamer_tf.specs import Space\nfrom dreamer_tf.envs import base"
    )
    assert violations("envs", source) == []


@pytest.mark.parametrize("file", ["__init__.py", "apps/__init__.py"])
def test_a_package_of_rooms_imports_none_of_them(file):
    source = (PACKAGE / file).read_text(encoding="utf-8")
    names = {name.partition(".")[0] for _, name in imports(source, at_run_time=True)}
    assert names <= sys.stdlib_module_names


def test_what_only_a_type_checker_imports_is_no_import_at_run_time():
    source = "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\nif d:\n    import e"
    assert [name for _, name in imports(source)] == ["a", "b", "c", "e"]
    assert [name for _, name in imports(source, at_run_time=True)] == ["a", "c", "e"]


def test_files_are_short_enough_to_read():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for _, path in rooms()}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_FILE}
    assert not long


def _docstrings():
    """(file, syntax node, docstring) of everything in the package."""
    documented = ast.Module, ast.ClassDef, ast.FunctionDef
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, documented) and ast.get_docstring(node):
                yield path.relative_to(ROOT), node, ast.get_docstring(node)


def test_what_a_constructor_takes_stands_in_its_own_docstring():
    found = [
        f"{path}: {node.name}"
        for path, node, text in _docstrings()
        if isinstance(node, ast.ClassDef) and re.search("^Args:", text, re.MULTILINE)
    ]
    assert not found, found


def test_classes_of_the_package_stand_in_single_backticks():
    texts = list(_docstrings())
    classes = {node.name for _, node, _ in texts if isinstance(node, ast.ClassDef)}
    found = [
        f"{path}: {name}"
        for path, _, text in texts
        for name in re.findall(r"``(?:[a-z_]+\.)*(\w+)``", text)
        if name in classes
    ]
    assert "Replay" in classes and not found, found


def test_no_text_names_a_path_of_one_machine():
    machine_path = re.compile(r"""(?:^|[\s"'`=(])/(?:home|root|Users|work|mnt|opt|tmp)/\w""", re.M)
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0).strip()}"
        for path in _texts()
        for match in machine_path.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def _texts():
    suffixes = {".py", ".yaml", ".md", ".txt", ".toml", ".sh", ".in"}
    folders = ["dreamer_tf", "configs", "scripts", "tests", "docs", "examples"]
    yield from (ROOT / "Makefile", ROOT / ".ci" / "run")
    for path in [*ROOT.iterdir(), *(p for name in folders for p in (ROOT / name).rglob("*"))]:
        if path.suffix in suffixes and path.is_file():
            yield path


def test_the_tests_that_take_long_exist():
    for path, beginnings in THOROUGH.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for beginning in beginnings:
            name, bracket, _ = beginning.partition("[")
            assert f"def {name}{'(' if bracket else ''}" in text, f"{path}: {beginning}"
