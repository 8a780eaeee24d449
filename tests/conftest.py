"""Settings of the whole suite."""

import gc
import os

import hypothesis
import pytest

from tests.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401
from tests.thorough import is_thorough

# Before TensorFlow is imported anywhere: its start-up notices would bury a failure.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Graphs are millions of small objects that live on: looking through them again and again takes a
# tenth of the time.
gc.set_threshold(100_000, 50, 100)

# The same examples on every machine, and no time limit per example: a busy machine is not a bug.
hypothesis.settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=50, database=None
)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)  # Before tests are chosen by their marks.
def pytest_collection_modifyitems(items):
    """Marks the tests of ``thorough.py``."""
    for item in items:
        if is_thorough(item.nodeid):
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Lines do not wrap, so that what a test looks for is never cut in two."""
    monkeypatch.setenv("COLUMNS", "500")
