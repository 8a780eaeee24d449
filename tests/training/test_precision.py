"""The precision that a run chooses by measuring, says and keeps."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import config
from dreamer_tf.specs import Space
from dreamer_tf.training import precision as precisions
from dreamer_tf.training import session

SPACES = (
    {"position": Space(np.float32, (3,))},
    {"action": Space(np.float32, (2,), -1, 1)},
)


def settled(precision, told):
    resolved = config.load(["debug"], {"precision": precision, "seed": 5})
    session.seed_libraries(5)
    resolved, agent = session.make_settled_agent(resolved, *SPACES, told.append)
    return resolved, [v.numpy() for net in agent.networks.values() for v in net.variables]


@pytest.fixture
def times(monkeypatch):
    """Seconds of a product by its type, for a measurement that takes none."""
    seconds = {}
    monkeypatch.setattr(
        precisions, "_product_seconds", lambda shapes, rows, dtype: seconds[dtype] * rows
    )
    return seconds


@pytest.mark.parametrize(
    ("share", "chosen"), [(0.5, "mixed_bfloat16"), (0.95, "float32"), (1.7, "float32")]
)
def test_what_takes_clearly_less_time_is_chosen_and_said(times, share, chosen):
    times.update({tf.float32: 1.0, tf.bfloat16: share})
    told = []
    resolved, weights = settled("auto", told)
    reason = f"products in bfloat16 take {share:.0%} of the time in float32"
    assert told == [f"precision auto: {chosen}, because {reason}"]
    assert resolved.config.precision == chosen
    assert resolved.origins["precision"] == f"auto: {reason}"
    # The measurement changes no weight that the agent begins with.
    _, expected = settled(chosen, told)
    assert len(told) == 1
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_products_are_measured():
    seconds = [precisions._product_seconds([(256, 256)], rows, tf.float32) for rows in (1, 20_000)]
    assert 0 < seconds[0] < seconds[1]


def test_a_run_keeps_what_it_chose_at_its_first_start(run, monkeypatch, tmp_path, capsys):
    answers = [("mixed_bfloat16", "it was quicker")]
    monkeypatch.setattr(precisions, "choose_precision", lambda *_: answers.pop())
    run(steps=40, precision="auto")
    shown = capsys.readouterr().out
    assert "precision auto: mixed_bfloat16, because it was quicker\n" in shown
    assert "precision mixed_bfloat16, XLA off\n" in shown
    assert config.read(tmp_path / "run").precision == "mixed_bfloat16"
    run(steps=50, precision="auto")
    shown = capsys.readouterr().out
    assert "precision mixed_bfloat16, XLA off\n" in shown and "precision auto" not in shown
    run(steps=60, precision="float32")
    assert "precision float32, XLA off\n" in capsys.readouterr().out


def test_papers_without_a_mixed_precision_keep_float32():
    for preset in ("dmc", "dmc_tf2", "dreamerv2_dmc_vision", "dreamerv2_atari", "planet"):
        assert config.load([preset]).config.precision == "float32"
