"""Loggers of other projects as `Writer`, by their names in ``run.loggers``.

Their libraries are extras, imported when a run begins. What they remember of a run, so that a run
that goes on is one run there, too, stands in ``loggers.json``, with the folder that it is of.
"""

import contextlib
import importlib.util
import os
import pathlib
import re
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from dreamer_tf import config as configs
from dreamer_tf.common import write_json
from dreamer_tf.common.extras import install_hint
from dreamer_tf.runs import upkeep
from dreamer_tf.runs.videos import save_video
from dreamer_tf.runs.writers import Writer

IDS_NAME = "loggers.json"
PROJECT = "dreamer-tf"
_MOST_PARAMS = 100  # MLflow takes so many at once.
_NOT_IN_NAMES = re.compile(r"[^/\w.\- :]")  # Of MLflow's metrics.
_FOLDER, _OWN_STORE = "folder", "mlflow"


class WandB(Writer):
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it in the run folder.

    Its library reads ``WANDB_PROJECT``, ``WANDB_ENTITY`` and the others of its own variables.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        """Begins the run, or goes on with it.

        Args:
          folder: Run folder.
        """
        import wandb

        self._wandb = wandb
        self._folder = pathlib.Path(folder)
        self._run = wandb.init(
            dir=self._folder,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=self._folder.name,
            id=_kept(self._folder, "wandb", lambda: uuid.uuid4().hex[:8]),
            resume="allow",
            config=configs.flatten(configs.read(self._folder)),
            settings=wandb.Settings(silent=True),
        )
        # The axis of everything: their own step counts calls.
        self._run.define_metric("env_frames")
        self._run.define_metric("*", step_metric="env_frames")

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Logs numbers."""
        self._run.log({"env_frames": env_frames, **scalars})

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Logs a film."""
        with _film(name, frames, fps) as path:
            film = self._wandb.Video(str(path), format="mp4")
            self._run.log({"env_frames": env_frames, f"videos/{name}": film})

    def close(self) -> None:
        """Ends the run there, as finished or as failed."""
        self._run.finish(exit_code=int(self.failed))


class MLflow(Writer):
    """A run of MLflow, in ``mlflow.db`` of the run folder or where ``MLFLOW_TRACKING_URI`` says."""

    def __init__(self, folder: str | os.PathLike) -> None:
        """Begins the run, or goes on with it.

        Args:
          folder: Run folder.
        """
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._folder = pathlib.Path(folder).resolve()
        self._metric = Metric
        own = f"sqlite:///{self._folder / 'mlflow.db'}"
        uri = os.environ.get("MLFLOW_TRACKING_URI", own)
        self._client = MlflowClient(uri)
        config = configs.read(self._folder)
        # With a store of the run's own its films are beside it; a server knows where it keeps them.
        films = (self._folder / "mlflow").as_uri() if uri == own else None
        name = f"mlflow {uri}" if films is None else _OWN_STORE
        self._id = _kept(self._folder, name, lambda: self._begin(config.task, films))
        run = self._client.get_run(self._id)
        if films and not run.info.artifact_uri.startswith(f"{films}/"):
            _move_films(self._folder / "mlflow.db", films)
        earlier, known = run.data, run.data.params
        values = {key: str(value) for key, value in configs.flatten(config).items()}
        self._client.update_run(self._id, status="RUNNING")
        # What has changed since the first start: parameters there cannot.
        for key, value in values.items():
            if known.get(key, value) != value or key in earlier.tags:
                self._client.set_tag(self._id, key, value)
        params = [Param(key, value) for key, value in values.items() if key not in known]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._id, params=params[start : start + _MOST_PARAMS])

    def _begin(self, task, films):
        name = f"{PROJECT} {task}"
        experiment = self._client.get_experiment_by_name(name)
        id_ = experiment.experiment_id if experiment else None
        id_ = id_ or self._client.create_experiment(name, artifact_location=films)
        return self._client.create_run(id_, run_name=self._folder.name).info.run_id

    def write(self, env_frames: int, scalars: Mapping[str, float]) -> None:
        """Logs numbers, with ``_`` in their names for what must not be there."""
        now = round(1000 * time.time())
        named = {_NOT_IN_NAMES.sub("_", key): value for key, value in scalars.items()}
        metrics = [self._metric(key, value, now, env_frames) for key, value in named.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Logs a film among the artifacts."""
        with _film(f"{name}-{env_frames}", frames, fps) as path:
            self._client.log_artifact(self._id, str(path), "videos")

    def close(self) -> None:
        """Ends the run there, as finished or as failed."""
        self._client.set_terminated(self._id, "FAILED" if self.failed else "FINISHED")


LOGGERS: dict[str, tuple[str, Callable[[pathlib.Path], Writer]]] = {
    "wandb": ("wandb", WandB),
    "mlflow": ("mlflow", MLflow),
}
"""Name, of the extra too, to the package that it needs and the function of the run folder."""


def check(names: tuple[str, ...]) -> None:
    """Raises `ConfigError` if the library of a logger is missing; says how to install it."""
    for name in names:
        package = LOGGERS[name][0] if name in LOGGERS else None
        if package and importlib.util.find_spec(package) is None:
            raise configs.ConfigError(
                f"run.loggers names {name}, whose library is not installed: {install_hint(name)}"
            )


def _move_films(store, films):
    """Tells a store of the run's own where its films are now: it has paths from the root on."""
    with contextlib.closing(sqlite3.connect(store)) as database, database:
        ours = (films, f"{PROJECT} %")
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name LIKE ?", ours)
        database.execute(
            "UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", ours[:1]
        )


def _kept(folder, name, make):
    """What stands under a name in ``loggers.json``, made where nothing does."""
    path = folder / IDS_NAME
    ids = upkeep.read_or_set_aside(path, _parse_ids) or {}
    if _is_copy(folder, ids):  # Another run from now on; a store of its own it has copied, too.
        ids = {key: value for key, value in ids.items() if key == _OWN_STORE}
    here = {_FOLDER: str(folder.resolve())}
    if name not in ids or not ids.items() >= here.items():
        ids |= here | {name: ids.get(name) or make()}
        write_json(path, ids)
    return ids[name]


def _parse_ids(ids):
    if not isinstance(ids, dict) or not all(isinstance(value, str) for value in ids.values()):
        raise ValueError("expected names with an id each")
    return ids


def _is_copy(folder, ids):
    """Whether the folder that the ids were noted in is still there, and has one of them."""
    noted = pathlib.Path(ids.get(_FOLDER, folder))
    if not os.path.isfile(noted / IDS_NAME) or os.path.samefile(noted, folder):
        return False
    theirs = (noted / IDS_NAME).read_text(encoding="utf-8", errors="replace")
    return any(value in theirs for key, value in ids.items() if key != _FOLDER)


@contextlib.contextmanager
def _film(name, frames, fps) -> Iterator[pathlib.Path]:
    """A film as a file that is there for as long as a library takes to copy it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"{name.replace('/', '-')}.mp4"
        save_video(path, frames, fps)
        yield path
