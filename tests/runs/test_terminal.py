"""What a run shows while it goes on."""

import io
import re

from dreamer_tf.runs.terminal import LiveTerminal, PlainTerminal, TimeLeft, open_terminal


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
        terminal.write(90, {"train/return": 12.0})
        terminal.advance(95, "acting")
        terminal.write(100, {"speed/frames": 50.0, "model_loss": 0.125})
        time[0] = 70.0
        terminal.advance(100, "update 7")
        terminal.advance(100, "update 8")
    assert stream.getvalue().splitlines() == [
        "100 / 1,000  return 12  50 frames a second  left ?  model_loss 0.125",
        "100 / 1,000  update 7",
    ]


def test_no_plain_line_is_wider_than_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    path = "/a/folder" * 8
    with PlainTerminal(1_000_000, stream) as terminal:
        terminal.message("agent dreamer: 201,489 parameters  " + ", ".join(["encoder 10,700"] * 9))
        terminal.message(f"saved in {path}")
        numbers = {"train/return": 814.72, "eval/return": -779.1, "speed/frames": 1090.4}
        losses = {f"{name}_loss": 1 / 3 for name in ("policy", "value", "replay_value", "model")}
        terminal.write(366_000, numbers | losses | {"speed/updating": 0.598})
    first, *rest, folder, metrics = stream.getvalue().splitlines()
    assert max(map(len, [first, *rest, metrics])) <= 80 and all(x.startswith("  ") for x in rest)
    assert folder == f"saved in {path}", "what is to be copied stays whole"
    start = "366,000 / 1,000,000  return 815  eval -779  1,090 frames a second  left ?"
    assert metrics == start, "what does not fit is left out whole"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_gets_a_live_bar_with_messages_above(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    terminal = open_terminal(1000, stream)
    assert isinstance(terminal, LiveTerminal)
    with terminal:
        terminal.message("run folder [x]")
        terminal.advance(500, "acting")
        terminal.write(500, {"speed/frames": 50.0, "eval/return": 12.5})
        terminal.write(600, {f"a_rather_long_name_{i}_loss": 0.5 for i in range(9)})
    shown = stream.getvalue()
    lines = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert "run folder [x]" in shown
    assert "500" in shown and "eval 12.5" in shown and "acting" in shown
