"""``metrics.jsonl``, ``scores.json`` and TensorBoard's event files."""

import json
import shutil

import pytest
import tensorflow as tf

from dreamer_tf.runs import writers
from dreamer_tf.runs.metrics import memory
from dreamer_tf.runs.run_folder import add_start
from dreamer_tf.runs.writers import MetricsFile, Scores, TensorBoard
from tests.limits import files_of_at_most


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


def test_a_curve_of_which_nothing_is_left_is_written_without_it(tmp_path):
    path = tmp_path / "scores.json"
    curve = scores(path)
    curve.flush()
    assert not path.exists()
    curve.write(1000, {"eval/return": 1.0})
    curve.close()
    scores(path, until=0).close()
    assert json.loads(path.read_text())[0]["xs"] == []


def test_a_curve_made_of_the_metrics_has_nothing_that_was_lost(tmp_path):
    """Where the replay's frames are those of the last line, steps do not fall."""
    path = tmp_path / "metrics.jsonl"
    add_start(tmp_path, 0, 0, 0)
    write(path, *((step, {"eval/return": step / 1000}) for step in (4000, 10_000, 20_000)))
    with path.open("a") as file:
        file.write('{"step": 20')  # It was killed, and `MetricsFile` cuts this off.
    add_start(tmp_path, 20_000, 8000, 4000)
    write(path, (20_000, {"eval/return": 9.0}))
    curve = scores(tmp_path / "scores.json")
    curve.close()
    [entry] = json.loads((tmp_path / "scores.json").read_text())
    assert (entry["xs"], entry["ys"]) == ([4000, 20_000], [4.0, 9.0])


def test_a_curve_that_is_not_there_is_made_of_the_metrics(tmp_path):
    lines = [{"step": x, "eval/return": x / 100} for x in (1000, 3000, 2000)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    curve = scores(tmp_path / "scores.json")
    curve.close()
    assert json.loads((tmp_path / "scores.json").read_text())[0]["xs"] == [1000, 2000]


def events(folder):
    """All scalars of an event file, by name and step."""
    [path] = folder.iterdir()
    return {
        (value.tag, event.step): tf.make_ndarray(value.tensor).item()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }


def test_tensorboard_gets_every_scalar_at_its_frame(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(100, {"loss": 0.5, "nonfinite": 0})
    board.write(200, {"loss": 0.25})
    board.close()
    assert events(tmp_path) == {("loss", 100): 0.5, ("nonfinite", 100): 0.0, ("loss", 200): 0.25}


def test_lines_that_a_full_disk_refuses_are_written_later(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.write(1, {"loss": 0.5})
    size = path.stat().st_size
    with files_of_at_most(size + 5):
        for step in (2, 3):
            with pytest.raises(OSError):
                file.write(step, {"loss": 0.5})
    assert path.stat().st_size == size + 5  # Half a line.
    file.write(4, {"loss": 0.5})
    file.close()
    assert [line["step"] for line in read(path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("content", ["", "[", "{}", "[]", '[{"xs": [1], "ys": []}]', '[{"xs": 1}]'])
def test_damaged_scores_are_made_anew_from_the_metrics(tmp_path, content, caplog):
    lines = [(1000, 1.0), (2000, 2.0), (3000, 9.0), (2500, 2.5)]  # 3000 was lost by a kill.
    write(tmp_path / "metrics.jsonl", *((step, {"eval/return": y}) for step, y in lines))
    (tmp_path / "scores.json").write_text(content)
    curve = scores(tmp_path / "scores.json", until=2600)
    curve.write(3000, {"eval/return": 3.0})
    curve.close()
    [entry] = json.loads((tmp_path / "scores.json").read_text())
    assert (entry["xs"], entry["ys"]) == ([1000, 2000, 2500, 3000], [1.0, 2.0, 2.5, 3.0])
    assert (tmp_path / "scores.json.damaged").read_text() == content
    assert "scores.json is damaged" in caplog.text


def test_tensorboard_takes_numbers_beyond_float32(tmp_path):
    board = TensorBoard(tmp_path)
    board.write(1, {"train/return": -3e38 * 10, "loss": 1e300})
    board.close()
    assert {tag for tag, _ in events(tmp_path)} == {"train/return", "loss"}


def test_tensorboard_goes_on_in_a_file_of_its_own_after_an_error(tmp_path, monkeypatch):
    board = TensorBoard(tmp_path / "board")
    board.write(1, {"loss": 1.0})
    shutil.rmtree(tmp_path / "board")
    (tmp_path / "board").touch()  # No folder any more: nothing can be written.
    board._file = None
    with pytest.raises(tf.errors.OpError):
        board.write(2, {"loss": 2.0})
    (tmp_path / "board").unlink()
    board.write(3, {"loss": 3.0})  # Within the minute: left out.
    monkeypatch.setattr(writers, "_RETRY_SECONDS", 0)
    board.write(4, {"loss": 4.0})
    board.close()
    assert events(tmp_path / "board") == {("loss", 4): 4.0}


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
