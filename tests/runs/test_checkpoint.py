"""Checkpoints: whole or not at all, verified, and of the right agent."""

import json
import os
import shutil
import threading

import pytest
import tensorflow as tf

from dreamer_tf.runs.checkpoint import Checkpoints
from dreamer_tf.runs.errors import (
    CheckpointError,
    CheckpointMismatchError,
    NoWholeCheckpointError,
    RunFolderError,
)
from tests.limits import files_of_at_most


class Net(tf.Module):
    """Something with variables and a random generator."""

    def __init__(self, size=4, value=0.0, extra=False):
        super().__init__()
        self.weight = tf.Variable(tf.fill([size], value), name="weight")
        self.rng = tf.random.Generator.from_seed(7, alg="philox")
        if extra:
            self.bias = tf.Variable(tf.zeros(2), name="bias")


def save(folder, value, keep=3, size=4):
    net = Net(size, float(value))
    return Checkpoints(folder, keep, agent=net).save({"value": value}, env_frames=10, grad_steps=2)


def test_weights_generators_and_state_come_back(tmp_path):
    net = Net(value=1.5)
    net.rng.normal([3])
    state = {"counters": {"env_frames": 7}, "ratio": 0.1}
    path = Checkpoints(tmp_path, agent=net).save(state, env_frames=7, grad_steps=2)
    assert path.name == "00001-frames7-updates2"
    assert json.loads((path / "state.json").read_text()) == state
    draws = net.rng.normal([3]).numpy().tolist()
    other = Net()
    assert Checkpoints(tmp_path, agent=other).restore() == state
    assert other.weight.numpy().tolist() == [1.5] * 4
    assert other.rng.normal([3]).numpy().tolist() == draws


def test_an_empty_folder_restores_nothing(tmp_path):
    assert Checkpoints(tmp_path / "none", agent=Net()).restore() is None


def test_the_newest_few_are_kept(tmp_path):
    for value in range(5):
        save(tmp_path, value, keep=2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["00004-frames10-updates2", "00005-frames10-updates2"]
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 4}


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("weights.data*", truncate),
        ("weights.data*", flip),
        ("weights.index", lambda path: path.unlink()),
        ("state.json", truncate),
        ("manifest.json", truncate),
        ("manifest.json", lambda path: path.unlink()),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text("{}")),
        ("manifest.json", lambda path: path.write_text('{"state.json": {}}')),
        ("weights.index", lambda path: (path.unlink(), path.symlink_to("nowhere"))),
        (".", lambda path: (shutil.rmtree(path), path.symlink_to("nowhere"))),
    ],
)
def test_a_damaged_one_is_set_aside_and_the_one_before_is_used(tmp_path, caplog, pattern, damage):
    save(tmp_path, 1.0)
    newest = save(tmp_path, 2.0)
    damage(newest if pattern == "." else next(newest.glob(pattern)))
    net = Net()
    checkpoints = Checkpoints(tmp_path, agent=net)
    assert checkpoints.restore() == {"value": 1.0}
    assert net.weight.numpy().tolist() == [1.0] * 4
    assert newest.name in caplog.text
    assert os.path.lexists(newest), "reading changes nothing"
    checkpoints.set_damaged_aside()
    assert not os.path.lexists(newest)
    assert os.path.lexists(newest.with_name(newest.name + ".damaged"))
    # Later ones are newer than it and do not collide with it.
    assert save(tmp_path, 3.0).name.startswith("00003")
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 3.0}


def test_without_a_whole_one_nothing_begins_anew_unless_that_is_wanted(tmp_path):
    for value in (1.0, 2.0):
        truncate(save(tmp_path, value) / "state.json")
    net = Net()
    checkpoints = Checkpoints(tmp_path, agent=net)
    for _ in range(2):
        with pytest.raises(NoWholeCheckpointError, match="all 2 are damaged.*00001.*start_anew"):
            Checkpoints(tmp_path, agent=Net()).restore()
    assert checkpoints.restore(anew=True) is None
    checkpoints.set_damaged_aside()
    with pytest.raises(NoWholeCheckpointError, match="all 2 are damaged"):
        Checkpoints(tmp_path, agent=Net()).restore()
    assert save(tmp_path, 3.0).name.startswith("00003")
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 3.0}


def test_what_cannot_be_read_at_the_moment_is_no_damage(tmp_path):
    save(tmp_path, 1.0)
    newest = save(tmp_path, 2.0)
    index = newest / "weights.index"
    index.rename(tmp_path / "kept")
    index.symlink_to("/proc/self/mem")  # The system answers a read with an input/output error.
    with pytest.raises(CheckpointError, match="nput/output error.*no damage"):
        Checkpoints(tmp_path, agent=Net()).restore()
    (tmp_path / "kept").replace(index)
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 2.0}


def test_a_reader_beside_a_trainer_that_keeps_one_always_finds_one(tmp_path):
    save(tmp_path, 0)
    writer = Checkpoints(tmp_path, 1, agent=Net(200_000))
    over = threading.Event()

    def train():
        while not over.is_set():
            writer.save({"value": 7}, env_frames=1, grad_steps=1)

    thread = threading.Thread(target=train)
    writer.save({"value": 7}, env_frames=1, grad_steps=1)
    thread.start()
    try:
        for _ in range(20):
            assert Checkpoints(tmp_path, agent=Net(200_000)).restore() == {"value": 7}
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "make", [lambda path: path.symlink_to("nowhere"), lambda path: path.touch()]
)
def test_a_folder_that_is_none_does_not_begin_anew(tmp_path, make):
    make(tmp_path / "checkpoints")
    with pytest.raises(RunFolderError, match="expected a folder of checkpoints"):
        Checkpoints(tmp_path / "checkpoints", agent=Net()).restore()


def test_what_a_crash_left_half_written_is_ignored_and_removed(tmp_path):
    save(tmp_path, 1.0)
    partial = tmp_path / "00002-frames10-updates2.partial"
    partial.mkdir()
    (partial / "weights.index").write_bytes(b"half")
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 1.0}
    save(tmp_path, 2.0)
    assert not partial.exists()
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 2.0}


def test_another_shape_is_an_error_that_names_variable_and_shapes(tmp_path):
    save(tmp_path, 1.0, size=4)
    with pytest.raises(CheckpointMismatchError, match=r"\(4,\).*\(5,\).*weight"):
        Checkpoints(tmp_path, agent=Net(5)).restore()


def test_a_variable_that_the_checkpoint_lacks_is_an_error_that_names_it(tmp_path):
    save(tmp_path, 1.0)
    with pytest.raises(CheckpointMismatchError, match="bias"):
        Checkpoints(tmp_path, agent=Net(extra=True)).restore()


def test_another_dtype_is_an_error(tmp_path):
    save(tmp_path, 1.0)
    net = Net()
    net.weight = tf.Variable([1, 2, 3, 4])
    with pytest.raises(CheckpointMismatchError, match="weight.*dtype"):
        Checkpoints(tmp_path, agent=net).restore()


def test_a_part_alone_can_be_restored(tmp_path):
    both = {"agent": Net(value=1.0), "explorer": Net(value=2.0)}
    Checkpoints(tmp_path, **both).save({}, env_frames=0, grad_steps=0)
    net = Net()
    assert Checkpoints(tmp_path, agent=net).restore() == {}
    assert net.weight.numpy().tolist() == [1.0] * 4


def test_a_full_disk_is_a_clear_error_and_earlier_ones_stay(tmp_path):
    save(tmp_path, 1.0)
    message = "the disk is full.*Earlier checkpoints are intact"
    with files_of_at_most(4096), pytest.raises(CheckpointError, match=message):
        save(tmp_path, 2.0, size=10_000)
    assert [path.name for path in tmp_path.iterdir()] == ["00001-frames10-updates2"]
    assert Checkpoints(tmp_path, agent=Net()).restore() == {"value": 1.0}


def test_a_state_that_json_cannot_hold_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        Checkpoints(tmp_path, agent=Net()).save({"x": float("nan")}, env_frames=0, grad_steps=0)
    assert Checkpoints(tmp_path, agent=Net()).restore() is None


def test_a_checkpoint_is_tensorflow_and_json_files_only(tmp_path):
    path = save(tmp_path, 1.0)
    names = sorted(file.name for file in path.iterdir())
    assert names == ["manifest.json", "state.json", "weights.data-00000-of-00001", "weights.index"]
