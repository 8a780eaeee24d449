"""``metrics.jsonl``, ``scores.json`` and TensorBoard's event files."""

import json

import pytest
import tensorflow as tf

from dreamer_tf.runs.metrics import memory
from dreamer_tf.runs.writers import MetricsFile, Scores, TensorBoard


def write(path, *lines):
    file = MetricsFile(path)
    for step, metrics in lines:
        file.write(step, metrics)
    file.close()


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_appended_across_restarts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, (1, {"loss": 0.5}), (2, {"loss": 0.25}))
    write(path, (3, {"train/return": 7.0}))
    expected = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}, {"step": 3, "train/return": 7}]
    assert read(path) == expected


@pytest.mark.parametrize("torn", [1, 5, 12])
def test_a_torn_last_line_is_cut_off(tmp_path, caplog, torn):
    path = tmp_path / "metrics.jsonl"
    write(path, (1, {"loss": 0.5}), (2, {"loss": 0.25}))
    path.write_bytes(path.read_bytes()[:-torn])
    write(path, (3, {"loss": 0.125}))
    assert [line["step"] for line in read(path)] == [1, 3]
    assert "unfinished last line" in caplog.text


def test_a_torn_line_longer_than_a_block_is_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, (1, {"loss": 0.5}))
    with path.open("a") as file:
        file.write('{"step": 2, ' + "x" * 200_000)
    write(path, (3, {"loss": 0.125}))
    assert [line["step"] for line in read(path)] == [1, 3]


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1')
    write(path)
    assert path.read_text() == ""


def test_a_value_that_json_lacks_is_refused(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="JSON compliant"):
        file.write(1, {"loss": float("nan")})
    file.close()


def scores(path, until=10**9):
    names = {"task": "dmc_walker_walk", "method": "dreamer"}
    return Scores(path, **names, seed=3, scalar="eval/return", until=until)


def test_scores_have_the_authors_shape(tmp_path):
    path = tmp_path / "scores.json"
    curve = scores(path)
    curve.write(1000, {"eval/return": 10.5, "eval/length": 7})
    curve.write(2000, {"eval/return": 20.25, "eval/length": 7})
    curve.flush()
    entry = {"task": "dmc_walker_walk", "method": "dreamer", "seed": 3}
    assert json.loads(path.read_text()) == [entry | {"xs": [1000, 2000], "ys": [10.5, 20.25]}]
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
    assert curve.best == 20.25


def test_a_continued_curve_drops_what_was_lost(tmp_path):
    path = tmp_path / "scores.json"
    curve = scores(path)
    for x in (1000, 2000, 3000):
        curve.write(x, {"eval/return": x / 100, "eval/length": 7})
    curve.flush()
    curve = scores(path, until=2500)
    curve.write(3000, {"eval/return": 99.0, "eval/length": 7})
    curve.flush()
    assert json.loads(path.read_text())[0]["xs"] == [1000, 2000, 3000]
    assert json.loads(path.read_text())[0]["ys"] == [10, 20, 99]


def test_tensorboard_gets_every_scalar_at_its_frame(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(100, {"loss": 0.5, "nonfinite": 0})
    board.write(200, {"loss": 0.25})
    board.close()
    [path] = tmp_path.iterdir()
    got = {
        (value.tag, event.step): tf.make_ndarray(value.tensor).item()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert got == {("loss", 100): 0.5, ("nonfinite", 100): 0.0, ("loss", 200): 0.25}


def test_writing_to_tensorboard_keeps_no_memory(tmp_path):
    writer = TensorBoard(tmp_path)
    grown = []
    for begin in (1, 1001, 2001):
        before = memory()["rss_anon"]
        for step in range(begin, begin + 1000):
            writer.write(step, {"a": 1 / step, "b": 2 / step, "c": 3 / step})
        grown.append(memory()["rss_anon"] - before)
    writer.close()
    assert min(grown) < 300_000, "4,000 numbers were kept"
