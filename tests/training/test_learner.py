"""What is measured while an agent learns: averages of metrics, and time."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.training.learner import Averages, Stopwatch


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
