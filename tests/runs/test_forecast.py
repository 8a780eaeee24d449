"""How long a run will take: counted, measured, and what is left."""

import types

import pytest

from dreamer_tf.runs import forecast as forecasts
from dreamer_tf.runs.forecast import Forecast, Pretraining, TimeLeft, rough_seconds


def test_time_left_follows_the_speed_of_the_last_intervals():
    time = [0.0]
    left = TimeLeft(10_000, now=lambda: time[0], intervals=2)
    assert str(left) == "?"
    for frames, seconds in ((0, 0), (1000, 1), (2000, 101), (3000, 201)):
        time[0] = seconds
        left.mark(frames)
    assert str(left) == "0:11:40"  # 7000 frames at 100 s per 1000


def test_nothing_is_left_by_the_speed_of_random_actions():
    time = [0.0]
    left = TimeLeft(1_000_000, now=lambda: time[0])
    left.hide()
    for frames, seconds in ((1000, 1), (2000, 2)):  # Random actions.
        time[0] = seconds
        left.mark(frames)
        assert str(left) == "?"
    time[0] = 500.0  # Updates that are made at once.
    left.expect(2000, 0.5)
    assert str(left) == "23.1 days"
    time[0] = 1500.0
    left.mark(12_000)
    assert str(left) == "27:26:40"  # By 10 frames a second, as they are now.


def test_the_forecast_is_measured_once_behind_what_is_traced():
    counters = types.SimpleNamespace(env_frames=0, grad_steps=0)
    seconds = types.SimpleNamespace(total=lambda *names: seconds.spent, spent=0.0)
    forecast = Forecast(counters, seconds, 1_000_204)

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
    assert "1,000,000 frames in 13 h 53 min" in text
    assert "the 1,000,016 left of this run in 13 h 53 min" in text
    assert forecast.speed == pytest.approx(20)
    assert advance(4, 100, 0.2) is None


def test_updates_at_once_tell_how_long_they_take():
    counters = types.SimpleNamespace(grad_steps=7)
    seconds = types.SimpleNamespace(total=lambda *names: seconds.spent, spent=3.0)
    pretraining = Pretraining(counters, seconds, 100)
    said = []
    for update, spent in ((1, 60), (2, 2), (50, 48 * 2), (47, 47 * 2), (1, 2)):
        counters.grad_steps += update
        seconds.spent += spent
        said.append(str(pretraining))
    assert said == [
        "pretraining, update 1 of 100",
        "pretraining, update 3 of 100, 0:01:37 left",
        "pretraining, update 53 of 100, 0:01:29 left",
        "pretraining, update 100 of 100, 0:00:00 left",
        "",
    ]


def test_the_rough_count_is_of_products_and_measured_only_where_it_matters(monkeypatch):
    monkeypatch.setattr(forecasts, "_operations_per_second", lambda: 1e11)
    assert rough_seconds(5_000_000, 2500, 500_000) == pytest.approx(6 * 5e6 * 2500 * 5e5 / 1e11)
    monkeypatch.delattr(forecasts, "_operations_per_second")
    assert rough_seconds(1000, 64, 1000) == 0
