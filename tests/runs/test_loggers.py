"""Loggers of other projects, offline, with their own libraries."""

import importlib.util
import json
import shutil
import struct
import types

import imageio.v3 as imageio
import numpy as np
import pytest

from dreamer_tf import config as configs
from dreamer_tf.common import extras
from dreamer_tf.runs import log, loggers
from dreamer_tf.runs.terminal import QuietTerminal
from dreamer_tf.runs.writers import TensorBoard

FILM = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A run folder with a config."""
    folder = tmp_path / "pole"
    folder.mkdir()
    resolved = configs.load([], {"task": "gymnasium_CartPole-v1", "seed": 7})
    configs.save(resolved.config, folder, resolved.origins)
    return folder


def play(make, folder, frames):
    """What a start of a run writes: a line of an episode and one of an evaluation with a film."""
    writer = make(folder)
    writer.write(frames, {"train/return": 2.5, "train/length": 9})
    writer.write(frames + 5, {"eval/return": frames / 10})
    writer.video(frames + 5, "eval", FILM, 10)
    writer.video(frames + 5, "openloop/image", FILM[..., :1], 10)
    writer.flush()
    writer.close()


def test_what_a_run_is_called_elsewhere_goes_with_its_folder(folder, tmp_path, caplog):
    def kept(folder, name, new="not made"):
        return loggers._kept(folder, name, lambda: new)

    ids = {"mlflow": "own", "wandb": "abc123", "mlflow http://there": "def456"}
    for name, id_ in ids.items():
        assert kept(folder, name, id_) == kept(folder, name) == id_
    moved = folder.rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(moved)
    assert all(
        kept(moved, *item) == kept(tmp_path / "link", item[0]) == item[1] for item in ids.items()
    )
    # Another run where it was is not the one that it is a copy of.
    folder.mkdir()
    assert kept(folder, "wandb", "other1") == "other1"
    assert kept(moved, "wandb") == "abc123"
    copy = shutil.copytree(moved, tmp_path / "copy")
    assert kept(copy, "mlflow") == "own"  # Its store is a copy, too.
    assert kept(copy, "wandb", "new123") == kept(copy, "wandb") == "new123"
    assert kept(copy, "mlflow http://there", "new456") == "new456"
    assert {name: kept(moved, name) for name in ids} == ids
    (copy / "loggers.json").write_text("[")
    assert kept(copy, "wandb", "anew12") == "anew12"
    assert (copy / "loggers.json.damaged").is_file() and "loggers.json is damaged" in caplog.text


def read_wandb(path):
    """The records of a ``.wandb`` file: blocks as in LevelDB's log, one protobuf message each."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, block, position, parts = path.read_bytes(), 32768, 7, b""
    while position + 7 <= len(data):
        if block - position % block < 7:
            position += block - position % block
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        position += 7
        parts += data[position : position + length]
        position += length
        if kind in (1, 4) and parts:  # A whole message, or its last part.
            yield Record.FromString(parts)
            parts = b""


def test_wandb_offline_has_every_number_film_and_option(folder, monkeypatch):
    wandb = pytest.importorskip("wandb", reason='pip install "dreamer-tf[wandb]"')
    monkeypatch.setenv("WANDB_MODE", "offline")
    for frames in 100, 200:
        play(loggers.WandB, folder, frames)
    wandb.teardown()  # Its process may still be writing; at a program's end it is waited for, too.
    files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    [id_] = {file.stem for file in files}  # A run that goes on is the same run.
    assert id_ == f"run-{json.loads((folder / 'loggers.json').read_text())['wandb']}"
    records = [record for file in files for record in read_wandb(file)]
    rows = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row}
        for row in (record.history.item for record in records if record.HasField("history"))
    ]
    numbers = [
        {key: value for key, value in row.items() if not key.startswith("_")}
        for row in rows
        if not any(key.startswith("videos/") for key in row)
    ]
    assert numbers == [
        {"env_frames": 100, "train/return": 2.5, "train/length": 9},
        {"env_frames": 105, "eval/return": 10.0},
        {"env_frames": 200, "train/return": 2.5, "train/length": 9},
        {"env_frames": 205, "eval/return": 20.0},
    ]
    films = {key: value for row in rows for key, value in row.items() if key.endswith("/_type")}
    assert films == dict.fromkeys(
        ("videos/eval/_type", "videos/openloop/image/_type"), "video-file"
    )
    assert len([*folder.glob("wandb/offline-run-*/files/media/videos/**/*.mp4")]) == 4
    options = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in records
        if record.HasField("run")
        for item in record.run.config.update
    }
    assert options["seed"] == 7 and options["run.loggers"] == ["tensorboard"]


def test_mlflow_has_every_number_film_and_option(folder, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason='pip install "dreamer-tf[mlflow]"')
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(folder)
    play(loggers.MLflow, folder, 100)
    first = configs.read(folder)
    configs.save(configs.load([str(folder / "config.yaml")], {"steps": 9999}).config, folder)
    play(loggers.MLflow, folder, 200)
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    [experiment] = [e for e in client.search_experiments() if e.name != "Default"]
    [run] = client.search_runs([experiment.experiment_id])
    assert experiment.name == "dreamer-tf gymnasium_CartPole-v1"
    assert run.info.run_name == "pole" and run.info.status == "FINISHED"
    assert run.data.params["seed"] == "7" and run.data.params["run.prefill"] == "5000"
    assert run.data.tags["steps"] == "9999" and "seed" not in run.data.tags
    configs.save(first, folder)
    loggers.MLflow(folder).close()
    assert client.get_run(run.info.run_id).data.tags["steps"] == str(first.steps)

    def history(name):
        return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]

    assert history("train/return") == [(100, 2.5), (200, 2.5)]
    assert history("eval/return") == [(105, 10), (205, 20)]
    films = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "videos")}
    names = [f"{name}-{frames}" for name in ("eval", "openloop-image") for frames in (105, 205)]
    assert films == {f"videos/{name}.mp4" for name in names}
    written = {path.name for path in folder.iterdir()}
    assert written == {"config.yaml", "loggers.json", "mlflow", "mlflow.db"}


def test_mlflow_goes_on_where_its_folder_is_now(folder, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason='pip install "dreamer-tf[mlflow]"')
    from mlflow.tracking._tracking_service import utils

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    play(loggers.MLflow, folder, 100)
    folder = folder.rename(folder.with_name("moved"))
    utils._artifact_repos_cache.clear()  # A process remembers; another one moves folders.
    play(loggers.MLflow, folder, 200)
    with pytest.raises(ValueError), log.RunLog(folder, *_mlflow_alone(folder)) as run_log:
        run_log.write(300, {"joint[0]_loss": 1.5, "train/return": 3.5})
        raise ValueError
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    [experiment] = [e for e in client.search_experiments() if e.name != "Default"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.metrics["joint_0__loss"] == 1.5 and run.data.metrics["train/return"] == 3.5
    assert len(client.list_artifacts(run.info.run_id, "videos")) == 4
    assert experiment.artifact_location == (folder / "mlflow").as_uri()
    assert not folder.with_name("pole").exists()


def _mlflow_alone(folder):
    return configs.load([], {"run.loggers": "mlflow"}).config, QuietTerminal(total=100), 0, 0


@pytest.mark.parametrize(("every", "kept"), [(10, [10, 30]), (0, [10, 20, 30])])
def test_evaluations_of_weights_that_were_lost_are_dropped(folder, every, kept):
    """Training episodes were played, whatever was lost."""
    config = configs.load([], {"run.eval_every": every, "run.loggers": "none"}).config
    scalar = "eval/return" if every else "train/return"
    for env_frames, evaluated, steps in ((0, 0, (10, 20)), (25, 10, (30,))):
        run_log = log.RunLog(folder, config, QuietTerminal(total=100), env_frames, evaluated)
        for step in steps:
            run_log.write(step, {scalar: 1.0})
        run_log.close()
    assert json.loads((folder / "scores.json").read_text())[0]["xs"] == kept


def test_tensorboard_shows_films_that_move(folder):
    import tensorflow as tf  # Here alone: the other loggers do without.

    play(TensorBoard, folder, 100)
    [path] = folder.glob("events*")
    films = {
        value.tag: (event.step, value.metadata.plugin_data.plugin_name, value.tensor)
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag.startswith("videos/")
    }
    assert films.keys() == {"videos/eval", "videos/openloop/image"}
    step, plugin, tensor = films["videos/eval"]
    assert (step, plugin) == (105, "images")
    width, height, film = tf.make_ndarray(tensor)
    assert (width, height) == (b"32", b"32") and film.startswith(b"GIF")
    assert imageio.imread(film, extension=".gif").shape == FILM.shape


def test_the_loggers_of_a_run_are_those_of_its_option(folder, monkeypatch):
    opened = []

    class Fake(loggers.Writer):
        def __init__(self, folder):
            opened.append(folder)

        def write(self, env_frames, scalars):
            raise OSError("no network")

    told = []
    terminal = QuietTerminal(total=100)
    terminal.message = told.append
    monkeypatch.setitem(loggers.LOGGERS, "wandb", ("json", Fake))
    config = configs.load([], {"run.loggers": ("wandb",)}).config
    loggers.check(config.run.loggers)
    run_log = log.RunLog(folder, config, terminal, 0, 0)
    for frames in 1, 2:
        run_log.write(frames, {"loss": 1.0})
    run_log.close()
    assert opened == [folder] and not (folder / "tensorboard").exists()
    assert told == ["the writer Fake failed (OSError: no network); the run goes on without it"]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert configs.load([], ["--run.loggers", "none"]).config.run.loggers == ("none",)


def test_a_film_that_fails_is_told_once_and_numbers_go_on(folder):
    kept, told = [], []

    class Filmless(loggers.Writer):
        def __init__(self, folder):
            pass

        def write(self, env_frames, scalars):
            kept.append(env_frames)

        def video(self, env_frames, name, frames, fps):
            raise OSError("no encoder")

    terminal = QuietTerminal(total=100)
    terminal.message = told.append
    config = configs.load([], {"run.loggers": "none"}).config
    with log.RunLog(folder, config, terminal, 0, 0, [Filmless]) as run_log:
        for frames in 1, 2:
            run_log.video(frames, "eval", FILM, 10)
            run_log.write(frames, {"loss": 1.0})
    assert kept == [1, 2]
    assert told == [
        "the writer Filmless lacks the film eval at 1 frames (OSError: no encoder), told once; "
        "the run goes on with it"
    ]


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_that_fails_is_a_failed_one_of_wandb(failed):
    codes = []
    writer = object.__new__(loggers.WandB)
    writer._run = types.SimpleNamespace(finish=lambda exit_code: codes.append(exit_code))
    writer.failed = failed
    writer.close()
    assert codes == [int(failed)]


@pytest.mark.parametrize(
    ("is_checkout", "hint"),
    [(True, r'.*-m pip install -e "/.*\[wandb\]"'), (False, r'pip install "dreamer-tf\[wandb\]"')],
)
def test_a_missing_library_is_told_before_anything_begins(monkeypatch, tmp_path, is_checkout, hint):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(extras, "_CHECKOUT", tmp_path)
    if is_checkout:
        (tmp_path / "setup.py").touch()
    with pytest.raises(configs.ConfigError, match=f"run.loggers names wandb, .*: {hint}"):
        loggers.check(("tensorboard", "wandb"))
    loggers.check(("tensorboard", "none"))
