"""Memory, and the forecast."""

import types

import pytest

from dreamer_tf.runs.metrics import Forecast, memory


def test_memory_is_that_of_this_process():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    anonymous = int(lines["RssAnon"].split()[0]) * 1024
    got = memory()
    assert got["rss_anon"] == pytest.approx(anonymous, rel=0.02)
    assert got["rss"] > got["rss_anon"]


def test_the_forecast_is_measured_once_behind_what_is_traced():
    counters = types.SimpleNamespace(env_frames=0, grad_steps=0)
    seconds = types.SimpleNamespace(total=lambda *names: seconds.spent, spent=0.0)
    forecast = Forecast(counters, seconds)

    def advance(frames, updates, spent):
        counters.env_frames += frames
        counters.grad_steps += updates
        seconds.spent += spent
        return forecast.take()

    assert advance(100, 0, 5.0) is None
    assert advance(4, 1, 30.0) is None  # Traces the update ...
    assert advance(4, 1, 2.0) is None  # ... and the policy.
    for _ in range(19):
        assert advance(4, 1, 0.2) is None
    text = advance(4, 1, 0.2)
    assert text.startswith("measured over 20 updates: 20 frames a second, ")
    assert "1,000,000 frames in 13.9 hours" in text
    assert advance(4, 100, 0.2) is None
