"""Schedules against the recordings."""

import pytest

from dreamer_tf.ops import Schedule
from tests.golden_data import Golden, assert_close

STEPS = (0, 3, 10, 25, 1000)


def test_recorded_values():
    recorded = Golden("v2_behavior").group("schedule")
    assert len(recorded) >= 5
    for text, expected in recorded.items():
        schedule = Schedule(text)
        assert_close([schedule(step) for step in STEPS], expected, name=text)


def test_spaces_do_not_matter():
    assert Schedule(" linear( 0, 1, 10 ) ")(5) == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nan", "a finite value"),
        ("warmup(5,inf)", "a finite value"),
        ("linear(1,0,0)", "steps above 0"),
        ("exp(1,0,-2)", "halflife above 0"),
    ],
)
def test_numbers_without_a_meaning_are_refused(text, expected):
    with pytest.raises(ValueError, match=f"expected {expected}, got"):
        Schedule(text)


@pytest.mark.parametrize(
    "text", ["", "fast", "linear(0,1)", "linear(0,1,ten)", "lineer(0,1,2)", "linear(0,1,2"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="a schedule is a number, linear"):
        Schedule(text)
