import json

import pytest

from dreamer_tf.training.clocks import Due, Every, Seconds


def test_due_counts_exactly_what_the_ratio_says():
    due = Due(every=1000, updates=100, start=5000)
    taken = [due.take(frames) for frames in range(5000, 10_001, 2)]
    assert sum(taken) == 500
    assert {count for count in taken if count} == {100}
    assert due.take(10_998) == 0
    assert due.take(11_000) == 100


def test_due_accumulates_fractions_without_losing_any():
    due = Due(every=1, updates=0.1)
    taken = [due.take(frames) for frames in range(1, 10_001)]
    assert sum(taken) == 1000
    assert taken[:20] == ([0] * 9 + [1]) * 2


def test_due_gives_all_updates_of_a_jump():
    due = Due(every=4, updates=0.75)
    assert due.take(400) == 75


def test_due_continues_from_json_in_the_middle_of_a_fraction():
    whole, first, second = (Due(every=3, updates=0.7) for _ in range(3))
    expected = [whole.take(frames) for frames in range(100)]
    got = [first.take(frames) for frames in range(41)]
    second.restore(json.loads(json.dumps(first.state())))
    got += [second.take(frames) for frames in range(41, 100)]
    assert got == expected


def test_due_with_a_new_ratio_owes_nothing_for_the_past():
    old, new = Due(every=10, updates=1), Due(every=1, updates=5)
    old.take(1000)
    new.restore(old.state())
    assert new.take(1002) == 10


@pytest.mark.parametrize(("every", "updates"), [(0, 1), (10, -1)])
def test_due_refuses_a_senseless_ratio(every, updates):
    with pytest.raises(ValueError, match="at least"):
        Due(every, updates)


def test_every_is_due_once_per_multiple_also_after_a_jump():
    every, due = Every(10), []
    for step in (0, 4, 8, 12, 13, 47, 48, 50):
        if every.due(step):
            due.append(step)
            every.mark(step)
    assert due == [12, 47, 50]


def test_every_stays_due_until_marked_and_zero_means_never():
    every = Every(10)
    assert every.due(10) and every.due(11)
    every.mark(11)
    assert not every.due(19)
    assert not Every(0).due(10**9)


def test_every_continues_from_json():
    first, second = Every(10), Every(10)
    first.mark(57)
    second.restore(json.loads(json.dumps(first.state())))
    assert not second.due(59)
    assert second.due(60)


def test_seconds_follow_the_clock():
    time = [100.0]
    seconds = Seconds(5, now=lambda: time[0])
    assert not seconds.due()
    time[0] = 105.0
    assert seconds.due()
    seconds.mark()
    assert not seconds.due()
    time[0] = 1000.0
    assert not Seconds(0, now=lambda: time[0]).due()
