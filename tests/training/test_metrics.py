"""Averages, episode sums, time, memory; and what a terminal shows of them."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.training.counters import Counters
from dreamer_tf.training.guard import array_statistics
from dreamer_tf.training.metrics import Averages, EpisodeStatistics, Stopwatch, memory
from dreamer_tf.training.seeding import derive, seed_libraries
from dreamer_tf.training.terminal import LiveTerminal, PlainTerminal, TimeLeft, open_terminal


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


def row(reward, is_first=False, is_last=False):
    return {"reward": np.float32(reward), "is_first": is_first, "is_last": is_last}


def test_episode_statistics_keep_streams_apart():
    episodes = []
    add = EpisodeStatistics(episodes.append)
    for stream, value in ((0, 0.0), (1, 0.0)):
        add(row(value, is_first=True), stream)
    add(row(1.0), 0)
    add(row(10.0), 1)
    add(row(2.0, is_last=True), 0)
    add(row(5.0, is_first=True), 0)
    add(row(20.0), 1)
    add(row(30.0, is_last=True), 1)
    got = [(episode.score, episode.length, episode.stream) for episode in episodes]
    assert got == [(3.0, 2, 0), (60.0, 3, 1)]


def test_returns_are_summed_without_loss_of_precision():
    episodes = []
    add = EpisodeStatistics(episodes.append)
    add(row(0, is_first=True), 0)
    for _ in range(999):
        add(row(0.1), 0)
    add(row(1e6, is_last=True), 0)
    assert episodes[0].score == 1e6 + 999 * float(np.float32(0.1))


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


def test_counters_go_forward_to_the_replay_and_never_back():
    counters = Counters(env_frames=100, agent_steps=50, grad_steps=7)
    assert counters.catch_up(40, frames_per_step=2) == 0
    assert (counters.env_frames, counters.agent_steps) == (100, 50)
    assert counters.catch_up(60, frames_per_step=2) == 10
    assert (counters.env_frames, counters.agent_steps, counters.grad_steps) == (120, 60, 7)


def test_array_statistics_are_json_and_leave_out_what_is_not_finite():
    statistics = array_statistics(tf.constant([1.0, np.nan, 3.0, -np.inf]))
    assert statistics == {
        **{"shape": [4], "dtype": "float32", "nonfinite": 2},
        **{"min": 1.0, "mean": 2.0, "max": 3.0},
    }
    assert json.loads(json.dumps(statistics)) == statistics
    assert "mean" not in array_statistics([np.nan])
    assert array_statistics(np.array([True, False]))["mean"] == 0.5


def test_derived_seeds_differ_by_name_and_seed_and_stay():
    seeds = {derive(seed, name) for seed in range(50) for name in ("envs", "replay", "agent")}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive(0, "replay") == derive(0, "replay")


def test_seeding_reaches_every_library():
    import random

    draws = []
    for seed in (1, 1, 2):
        seed_libraries(seed)
        draws.append((random.random(), np.random.rand(), float(tf.random.normal([]))))
    assert draws[0] == draws[1]
    assert all(a != b for a, b in zip(draws[0], draws[2], strict=True))


def test_time_left_follows_the_speed_of_the_last_intervals():
    time = [0.0]
    left = TimeLeft(10_000, now=lambda: time[0], intervals=2)
    assert str(left) == "?"
    for frames, seconds in ((0, 0), (1000, 1), (2000, 101), (3000, 201)):
        time[0] = seconds
        left.mark(frames)
    assert str(left) == "0:11:40"  # 7000 frames at 100 s per 1000
    left.restart()
    assert str(left) == "?"


def test_plain_output_is_one_line_per_interval_and_one_a_minute_between():
    time, stream = [0.0], io.StringIO()
    terminal = open_terminal(1000, stream)
    assert isinstance(terminal, PlainTerminal)
    with PlainTerminal(1000, stream, now=lambda: time[0]) as terminal:
        terminal.metrics(90, {"train/return": 12.0})
        terminal.advance(95, "acting")
        terminal.metrics(100, {"speed/frames": 50.0, "model_loss": 0.125})
        time[0] = 70.0
        terminal.advance(100, "update 7")
        terminal.advance(100, "update 8")
    assert stream.getvalue().splitlines() == [
        "100 / 1,000 frames  return 12  frames/s 50  model_loss 0.125  left ?",
        "100 / 1,000 frames  update 7",
    ]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_gets_a_live_bar_with_messages_above():
    stream = Terminal()
    terminal = open_terminal(1000, stream)
    assert isinstance(terminal, LiveTerminal)
    with terminal:
        terminal.message("run folder [x]")
        terminal.advance(500, "acting")
        terminal.metrics(500, {"speed/frames": 50.0, "eval/return": 12.5})
    shown = stream.getvalue()
    assert "run folder [x]" in shown
    assert "500" in shown and "eval 12.5" in shown and "acting" in shown
