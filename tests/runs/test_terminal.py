"""What a run shows while it goes on."""

import io

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
        terminal.write(500, {"speed/frames": 50.0, "eval/return": 12.5})
    shown = stream.getvalue()
    assert "run folder [x]" in shown
    assert "500" in shown and "eval 12.5" in shown and "acting" in shown
