"""Settings of the whole suite."""

import os

import hypothesis
import pytest

# Before TensorFlow is imported anywhere: its start-up notices would bury a failure.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples on every machine, and no time limit per example: a busy machine is not a bug.
hypothesis.settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=50, database=None
)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Lines do not wrap, so that what a test looks for is never cut in two."""
    monkeypatch.setenv("COLUMNS", "500")
