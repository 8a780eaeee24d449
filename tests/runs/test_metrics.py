"""Memory."""

import pytest

from dreamer_tf.runs.metrics import memory


def test_memory_is_that_of_this_process():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    anonymous = int(lines["RssAnon"].split()[0]) * 1024
    got = memory()
    assert got["rss_anon"] == pytest.approx(anonymous, rel=0.02)
    assert got["rss"] > got["rss_anon"]
