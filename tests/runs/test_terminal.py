"""What a run shows while it goes on."""

import io
import re

import pytest

from dreamer_tf.runs.terminal import LiveTerminal, PlainTerminal, open_terminal


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


class Lost(io.StringIO):
    """A stream that fails from some line on."""

    def __init__(self, error, lines=1):
        super().__init__()
        self.error, self.left = error, lines

    def write(self, text):
        if not self.left:
            raise self.error
        self.left -= "\n" in text
        return super().write(text)


@pytest.mark.parametrize(
    ("error", "closed", "said"),
    [
        (BrokenPipeError(32, "Broken pipe"), 1, "nobody reads the output any more"),
        (OSError(5, "Input/output error"), 0, "the run goes on unseen"),
        (OSError(28, "No space left on device"), 0, "the run goes on unseen"),
    ],
)
def test_a_lost_output_ends_nothing_and_is_told_once(error, closed, said, caplog):
    stream, calls = Lost(error), []
    terminal = open_terminal(1000, stream, lambda: calls.append("closed"))
    with terminal:
        for text in ("one", "two", "three"):
            terminal.message(text)
        terminal.write(100, {"speed/frames": 50.0})
    assert stream.getvalue() == "one\n"
    assert len(calls) == closed and caplog.text.count(said) == 1


def test_other_errors_of_an_output_are_raised():
    with pytest.raises(UnicodeEncodeError):
        open_terminal(10, io.TextIOWrapper(io.BytesIO(), "ascii")).message("±")
