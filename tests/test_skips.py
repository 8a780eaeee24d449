"""Skipping is heard where ``CI`` is set."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FIXTURE = """
import pytest
@pytest.fixture
def fixture():
    pytest.skip("{}")
def test(fixture): pass
"""
SKIPPING = {
    "module": 'import pytest\npytest.importorskip("no_such_package")\ndef test(): pass\n',
    "fixture": FIXTURE.format("there is no such disk"),
    "mark": 'import pytest\n@pytest.mark.skipif(True, reason="not now")\ndef test(): pass\n',
    "known": FIXTURE.format("a disk of its own needs the rights to mount one"),
}
EXPECTED = "import pytest\n@pytest.mark.xfail\ndef test(): assert 0\n"


@pytest.mark.parametrize(
    ("ci", "failing"), [("true", {"module", "fixture", "mark"}), ("", set())], ids=["ci", "else"]
)
def test_on_ci_what_is_skipped_fails_unless_the_reason_is_known(ci, failing, tmp_path):
    for name, source in (SKIPPING | {"expected": EXPECTED}).items():
        (tmp_path / f"test_{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-c", os.devnull, "-rA"]
    command += ["--continue-on-collection-errors", f"--rootdir={tmp_path}", str(tmp_path)]
    variables = os.environ | {"CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = {"cwd": ROOT, "env": variables, "capture_output": True, "text": True}
    output = subprocess.run(command, **options).stdout
    assert set(re.findall(r"^(?:FAILED|ERROR) .*test_(\w+)\.py", output, re.M)) == failing, output
    reasons = re.findall("nothing may be skipped: .*(such_package|such disk|not now)", output)
    assert set(reasons) == ({"such_package", "such disk", "not now"} if ci else set())
    assert f"{len(SKIPPING) - len(failing)} skipped" in output and "1 xfailed" in output


def test_the_suite_listens(pytestconfig):
    hook = pytestconfig.hook
    for name in (hook.pytest_runtest_makereport, hook.pytest_make_collect_report):
        assert "tests.skips" in {impl.function.__module__ for impl in name.get_hookimpls()}
