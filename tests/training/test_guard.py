"""What a dump says of the data; ``test_loop.py`` has the runs that are stopped."""

import json

import numpy as np
import tensorflow as tf

from dreamer_tf.training.guard import array_statistics


def test_array_statistics_are_json_and_leave_out_what_is_not_finite():
    statistics = array_statistics(tf.constant([1.0, np.nan, 3.0, -np.inf]))
    assert statistics == {
        **{"shape": [4], "dtype": "float32", "nonfinite": 2},
        **{"min": 1.0, "mean": 2.0, "max": 3.0},
    }
    assert json.loads(json.dumps(statistics)) == statistics
    assert "mean" not in array_statistics([np.nan])
    assert array_statistics(np.array([True, False]))["mean"] == 0.5
