"""Averages, time, memory, and the forecast."""

import types

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.runs.metrics import Averages, Forecast, Stopwatch, memory


def test_averages_are_means_of_an_interval():
    averages = Averages()
    averages.add({"loss": tf.constant(1.0), "norm": 4.0})
    averages.add({"loss": tf.constant(2.0)})
    assert averages.take() == {"loss": 1.5, "norm": 4.0}
    assert averages.take() == {}


def test_averages_leave_out_what_is_not_finite():
    averages = Averages()
    for loss in (1.0, np.nan, 3.0, np.inf):
        averages.add({"loss": tf.constant(loss), "never": np.nan})
    assert averages.take() == {"loss": 2.0}


def test_the_stopwatch_splits_an_interval():
    watch = Stopwatch()
    for _ in range(2):
        with watch.section("acting"):
            sum(range(1000))
    with pytest.raises(KeyError), watch.section("updating"):
        raise KeyError
    sections, total = watch.take()
    assert sections.keys() == {"acting", "updating"}
    assert 0 < sum(sections.values()) <= total
    assert watch.take()[0] == {}


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
    assert text.startswith("measured over 20 updates: 20 frames per second, ")
    assert "1,000,000 frames in 13.9 hours" in text
    assert advance(4, 100, 0.2) is None
