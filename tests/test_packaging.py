"""What an installed package consists of, and what importing it loads."""

import ast
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

import dreamer_tf
from dreamer_tf import config

ROOT = pathlib.Path(__file__).resolve().parents[1]


def setup_lists():
    """The literal values in setup.py by name: top-level constants and arguments of ``setup``."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    values = {}
    for node in ast.walk(tree):
        pairs = []
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            pairs = [(node.targets[0].id, node.value)]
        elif isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        for name, value in pairs:
            try:
                values[name] = ast.literal_eval(value)
            except ValueError:
                continue  # An expression, such as a call.
    return values


def pins(name):
    """The exact versions that a requirements file asks for, by normalised package name."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    entries = [line.partition("#")[0].strip() for line in lines]
    entries = [entry for entry in entries if entry and not entry.startswith("-r ")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", entry) for entry in entries), entries
    return {canonicalize_name(entry.split("==")[0]): entry.split("==")[1] for entry in entries}


@pytest.mark.parametrize(
    ("extra", "file"),
    [
        (None, "requirements.txt"),
        ("atari", "requirements-dev.txt"),
        ("crafter", "requirements-dev.txt"),
        ("docs", "requirements-dev.txt"),
        ("dream", "requirements-dev.txt"),
        ("figures", "requirements-dev.txt"),
        ("minari", "requirements-dev.txt"),
        ("mlflow", "requirements-dev.txt"),
        ("onnx", "requirements-dev.txt"),
        ("ray", "requirements-dev.txt"),
        ("search", "requirements-dev.txt"),
        ("slurm", "requirements-dev.txt"),
        ("wandb", "requirements-dev.txt"),
        ("dev", "requirements-dev.txt"),
    ],
)
def test_pinned_versions_lie_in_the_ranges_of_setup(extra, file):
    values = setup_lists()
    ranges = values["INSTALL_REQUIRES"] if extra is None else values["EXTRAS_REQUIRE"][extra]
    pinned = pins("requirements.txt") | pins(file)  # the second begins with the first
    for requirement in map(Requirement, ranges):
        version = pinned[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} but {file} has {version}"


def test_tf_keras_has_the_minor_version_of_tensorflow():
    pinned = pins("requirements.txt")
    minor = pinned["tensorflow"].split(".")[:2]
    assert pinned["tf-keras"].split(".")[:2] == minor


def test_everything_the_package_imports_is_asked_for():
    imported = set()
    for path in (ROOT / "dreamer_tf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    owners = importlib.metadata.packages_distributions()
    values = setup_lists()
    extras = [r for extra, rs in values["EXTRAS_REQUIRE"].items() if extra != "dev" for r in rs]
    asked = {canonicalize_name(Requirement(r).name) for r in values["INSTALL_REQUIRES"] + extras}
    outside = imported - sys.stdlib_module_names - {"dreamer_tf"}
    # A library of an extra that is not installed has no owner here; by its own name it will do.
    found = {name: set(map(canonicalize_name, owners.get(name, [name]))) for name in outside}
    assert not {name for name in outside if not asked & found[name]}


@pytest.fixture
def checkout(tmp_path):
    """What make and its scripts need, with a virtual environment that is set up here."""
    for name in ("Makefile", "setup.py", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    for stamp in (".installed", ".rendering"):
        (tmp_path / ".venv" / stamp).write_text(f"{tmp_path.resolve()}\n")
    return tmp_path


def made(folder, *words):
    """Whether ``make setup`` would set the virtual environment up."""
    command = ["make", "-n", "setup", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return "setup_venv.sh" in done.stdout


def test_a_virtual_environment_is_made_anew_where_it_cannot_be_the_one_that_is_meant(checkout):
    assert not made(checkout) and not made(checkout, f"PYTHON={sys.executable}")
    other = checkout / "other"
    other.write_text("#!/bin/sh\necho '(3, 99)'\n")
    other.chmod(0o755)
    assert made(checkout, f"PYTHON={other}")


@pytest.mark.parametrize("fault", ["copied", "no interpreter"])
def test_neither_a_copy_nor_a_broken_virtual_environment_is_believed(checkout, tmp_path, fault):
    folder = checkout
    if fault == "copied":
        folder = checkout / "copy"
        shutil.copytree(checkout, folder, symlinks=True, ignore=lambda *_: ["copy"])
    else:
        (checkout / ".venv" / "bin" / "python").unlink()
    assert made(folder)
    assert made(checkout) == (fault != "copied"), "the first one is as it was"


def test_presets_are_package_data():
    values = setup_lists()
    assert values["package_dir"] == {"dreamer_tf.presets": "configs"}
    assert values["package_data"]["dreamer_tf.presets"] == ["*.yaml"]
    assert {"atari", "cpu", "debug", "dmc", "dmc_proprio", "dmc_tf2"} <= set(config.preset_names())
    assert all(path.suffix == ".yaml" for path in (ROOT / "configs").iterdir())


def test_the_mark_that_says_that_there_are_hints_is_package_data():
    assert setup_lists()["package_data"]["dreamer_tf"] == ["py.typed"]
    assert (ROOT / "dreamer_tf" / "py.typed").is_file()
    assert "include dreamer_tf/py.typed\n" in (ROOT / "MANIFEST.in").read_text(encoding="utf-8")


@pytest.mark.parametrize("room", ["report", "dream"])
def test_the_files_of_a_page_are_package_data(room):
    folder = ROOT / "dreamer_tf" / "apps" / room
    patterns = setup_lists()["package_data"][f"dreamer_tf.apps.{room}"]
    packed = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    files = {path for path in (folder / "page").rglob("*") if path.is_file()}
    assert files and packed == files


def test_the_licence_of_what_is_packed_is_packed_too():
    assert (ROOT / "dreamer_tf" / "apps" / "report" / "page" / "vendor" / "uPlot.LICENSE").is_file()


def test_console_commands_exist():
    for line in setup_lists()["entry_points"]["console_scripts"]:
        module, function = line.partition(" = ")[2].split(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert function in names, line


def test_the_version_is_a_plain_string_in_the_package():
    assert re.fullmatch(r"\d+\.\d+\.\d+", dreamer_tf.__version__)
    source = (ROOT / "dreamer_tf" / "__init__.py").read_text(encoding="utf-8")
    assert f'\n__version__ = "{dreamer_tf.__version__}"\n' in source


def test_environments_replay_and_config_load_no_tensorflow():
    code = (
        "import sys, dreamer_tf, dreamer_tf.envs, dreamer_tf.replay, dreamer_tf.config\n"
        "print(*{'tensorflow', 'keras', 'tf_keras'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_an_unknown_attribute_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        dreamer_tf.trian  # noqa: B018


def test_the_description_in_the_wheel_is_for_those_who_have_no_repository(tmp_path):
    code = (
        "import sys\nfrom setuptools import build_meta\n"
        "build_meta.prepare_metadata_for_build_wheel(sys.argv[1])"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, check=True
    )
    [path] = tmp_path.glob("*.dist-info/METADATA")
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert targets and all(target.startswith("https://") for target in targets)
    assert "dreamer-train --configs" in text and "python scripts" not in text
    assert "docs/install.md has the rest" in " ".join(text.split())


def test_the_citation_is_of_this_version():
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert citation["version"] == dreamer_tf.__version__
    assert citation["license"] == setup_lists()["license"]
    papers = {reference["url"] for reference in citation["references"]}
    assert papers == set(setup_lists()["project_urls"].values())


def test_the_image_for_gpus_has_the_same_tensorflow_with_its_libraries():
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [command] = re.findall(r'"\$\((sed .+)\)"', dockerfile)
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    pinned = pins("requirements.txt")["tensorflow"]
    assert done.stdout == f"tensorflow[and-cuda]=={pinned}\n"
    assert re.findall("^FROM (\\S+) AS (\\S+)$", dockerfile, re.M)[-1] == ("base", "cpu")


def test_what_the_extras_bring_is_what_the_tests_run_with():
    pinned = pins("requirements.txt") | pins("requirements-dev.txt")
    for extra, requirements in setup_lists()["EXTRAS_REQUIRE"].items():
        names = {canonicalize_name(Requirement(text).name) for text in requirements}
        assert names <= pinned.keys(), extra
