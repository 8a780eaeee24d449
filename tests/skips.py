"""Where ``CI`` is set, a test that is skipped has failed, but for reasons that are known.

Else an optional package that broke would take whole modules away, and nobody would see it. A plugin
of pytest, which ``conftest.py`` brings.
"""

import os
import re

import pytest

KNOWN = re.compile(
    "envpool"  # 700 MB, which nobody installs for one test
    "|SCORES does not name a folder"  # of others, which is not part of this repository
    "|the user chose a backend"  # for rendering
    "|rights to mount one|lets root mount nothing|no disk can be made"
)


def _judged(report):
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        path, line, reason = report.longrepr
        if not KNOWN.search(reason):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: with CI set nothing may be skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    """Judges tests, and fixtures that skip them."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    """Judges modules that skip all of their tests."""
    return _judged((yield))
