"""Training, loading and evaluating from Python.

>>> import dreamer_tf as dreamer
>>> agent = dreamer.train(lambda: MyEnv(), logdir="runs/mine")
>>> action, state = agent.policy(obs, state)

The commands and these functions are the two ways into a run. They stand above everything because
both hand in what training knows nothing of: the report that is written at the end.
"""

import dataclasses
import functools
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreamer_tf.apps.report.document import write_at_end
from dreamer_tf.config import change_acting
from dreamer_tf.config import load as load_config
from dreamer_tf.config import read as read_config
from dreamer_tf.envs import EnvError
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.runs.machine import quiet_tensorflow, start_tensorflow
from dreamer_tf.runs.writers import Writer
from dreamer_tf.training import session, sizes
from dreamer_tf.training.opening import UNNAMED

if TYPE_CHECKING:  # At run time this module does without TensorFlow.
    from dreamer_tf.agents import Agent

_LOGGER = logging.getLogger(__name__)


def train(
    env: Any | Callable[[], Any] | str | None = None,
    configs: Sequence[str] = (),
    logdir: str | os.PathLike | None = None,
    steps: int | None = None,
    *,
    writers: Sequence[Callable[[pathlib.Path], Writer]] = (),
    **overrides: Any,
) -> "Agent":
    """Trains an agent, or continues the run that is in the folder already.

    Args:
      env: A function without arguments that makes an environment, or an environment object, that
        follows the gymnasium API; or the name of a task; None for the config's task.
      configs: Names of presets, applied from left to right over the defaults. Where an environment
        is given, but neither presets nor an agent nor a folder with a run: DreamerV3, in a size
        that suits the machine, which the run's first lines name.
      logdir: Run folder; None for a new one under ``runs/``.
      steps: env_frames to collect in all; None for the config's.
      writers: Further places for metrics and videos, such as a logger of one's own: functions of
        the run folder that return a `dreamer_tf.runs.writers.Writer`, its class for example. If
        one fails, that is told, and the run goes on without it.
      **overrides: Further options, nested (``run={"prefill": 1000}``) or dotted
        (``**{"run.prefill": 1000}``).

    Returns:
      The trained `dreamer_tf.agents.Agent`.

    Raises:
      ConfigError: A preset or option does not exist, or does not fit.
      EnvError: The environment cannot be used.
      RunFolderInUse: Another trainer works in the folder.
    """
    quiet_tensorflow()
    continues = logdir is not None and run_folder.has_run(logdir)
    nothing_said = not configs and "agent" not in overrides and not continues
    choose_size = env is not None and nothing_said
    if choose_size:
        configs = [sizes.OWN_ENV_PRESET]
    if isinstance(env, str):
        overrides["task"], env = env, None
    if env is not None:
        overrides.setdefault("task", _name(env))
    if logdir is not None:
        overrides["logdir"] = os.fspath(logdir)
    if steps is not None:
        overrides["steps"] = steps
    return session.run(
        load_config(configs, overrides),
        env,
        choose_size=choose_size,
        writers=writers,
        at_end=[write_at_end],
    )


def load(logdir: str | os.PathLike, acting: Mapping[str, Any] | Sequence[str] = ()) -> "Agent":
    """Loads the agent of a run from its newest checkpoint; needs no environment and no replay.

    Args:
      logdir: Run folder.
      acting: Options that change how it acts, dotted, such as ``{"dreamerv3.policy": "planner"}``;
        or words of a command line.

    Returns:
      The `dreamer_tf.agents.Agent`.

    Raises:
      RunFolderError: The folder holds no run, or no whole checkpoint.
      ConfigError: An option does not exist, or cannot change after training.
    """
    quiet_tensorflow()
    start_tensorflow()
    # Imported here: this module can be imported without TensorFlow.
    from dreamer_tf.runs.checkpoint import Checkpoints

    config = change_acting(read_config(logdir), acting)
    agent = session.make_agent(config, *run_folder.load_spaces(logdir))
    folder = pathlib.Path(logdir) / "checkpoints"
    if Checkpoints(folder, agent=agent).restore() is None:
        raise RunFolderError(f"there is no whole checkpoint in {folder}")
    native = run_folder.load_native_actions(logdir)
    if native is not None:
        agent.native_act_space = native
    return agent


def export(
    logdir: str | os.PathLike,
    out: str | os.PathLike,
    *,
    litert: bool = True,
    acting: Mapping[str, Any] | Sequence[str] = (),
) -> tuple[pathlib.Path, str | None]:
    """Writes the trained policy of a run as a SavedModel that TensorFlow alone can run.

    Args:
      logdir: Run folder.
      out: Folder to make.
      litert: Whether to write a LiteRT file, too, if its operations allow.
      acting: As for `load`.

    Returns:
      The folder, and why there is no LiteRT file: None if there is one, or none was wanted.

    Raises:
      RunFolderError: The folder holds no run, or no checkpoint yet.
      ExportError: The agent has nothing to export, or the folder is taken.
    """
    config = read_config(logdir)
    agent = load(logdir, acting)
    if run_folder.load_native_actions(logdir) is None:
        _LOGGER.warning(
            "%s does not tell the environment's own action range: the export's numbers lie between "
            "-1 and 1. Continue the run for a moment and it will.",
            logdir,
        )
    written = agent.export(out, litert=litert, info={"task": config.task})
    # What an evaluation of the export makes the environment of.
    shutil.copyfile(pathlib.Path(logdir) / "config.yaml", pathlib.Path(out) / "config.yaml")
    return written


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The outcome of `evaluate`.

    Attributes:
      returns: Return of each episode.
      lengths: Length of each in env_frames.
      mean: Mean return.
      std: Standard deviation of the returns, over the episodes played.
      video: Path of the video, or None.
      crashed: Episodes in which the environment died; others were played instead.
      limited: How many of the episodes had not ended after ``run.eval_limit`` frames.
    """

    returns: list[float]
    lengths: list[int]
    mean: float
    std: float
    video: pathlib.Path | None
    crashed: int = 0
    limited: int = 0


def evaluate(
    logdir: str | os.PathLike,
    episodes: int = 10,
    *,
    env: Any | Callable[[], Any] | None = None,
    task: str | None = None,
    video: str | os.PathLike | None = None,
    seed: int | None = None,
    count: int = 1,
    acting: Mapping[str, Any] | Sequence[str] = (),
) -> Evaluation:
    """Plays episodes with the mode action; nothing is learned or stored.

    Args:
      logdir: Run folder, or an export of one.
      episodes: How many to play.
      env: The environment of a run that was trained on a user's own; else None.
      task: Another task than the run's, with the same observations and actions; None: the run's.
      video: File (``.mp4`` or ``.gif``) for a video of the first episode; None for none.
      seed: Decides the episodes; None for others than those of the training run.
      count: Environments side by side, in worker processes.
      acting: As for `load`; an export acts as it was exported.

    Returns:
      An `Evaluation`.

    Raises:
      RunFolderError: The folder holds neither, or the policy cannot play in this environment.
      EnvError: The environment cannot be used, or died in every episode.
    """
    quiet_tensorflow()
    start_tensorflow()
    from dreamer_tf.runs.videos import check_format, save_video
    from dreamer_tf.training.evaluation import make_recorder, play_episodes, summarize

    if video is not None:
        check_format(video)
    config = read_config(logdir)
    config = dataclasses.replace(config, task=task or config.task)
    seed = session.derive_seed(config.seed if seed is None else seed, "evaluate")
    make_policy = _load_policy(logdir, acting)
    with session.make_vector_env(
        config,
        env,
        count=min(count, episodes),
        seed=seed,
        workers="process",
        evaluation=True,
    ) as vector_env:
        recorder = make_recorder(vector_env, can_render=True) if video else None
        policy = make_policy(vector_env)
        limit = session.evaluation_limit(config)
        played = play_episodes(vector_env, policy, episodes, limit=limit, recorder=recorder)
        frames_per_step = vector_env.frames_per_step
    remarks = list(played.remarks(limit))
    if not played:
        raise EnvError(*remarks)
    for remark in remarks:
        _LOGGER.warning("%s", remark)
    summary = summarize(played, frames_per_step)
    film = None
    if video and recorder and recorder.frames:
        try:
            save_video(video, recorder.frames)
            film = pathlib.Path(video)
        except (ValueError, OSError) as error:  # No pictures, or no place to write them.
            _LOGGER.warning("no video: %s", error)
    return Evaluation(
        returns=[episode.score for episode in played],
        lengths=[episode.length * frames_per_step for episode in played],
        mean=summary["eval/return"],
        std=summary["eval/return_std"],
        video=film,
        crashed=played.crashed,
        limited=played.limited,
    )


def _load_policy(logdir, acting):
    """Function of a `VectorEnv` to the policy of a run or of an export for it."""
    from dreamer_tf.export.exported_policy import ExportedPolicy, is_export

    exported = is_export(logdir)
    if exported and acting:
        raise RunFolderError(f"{logdir} is an export, which acts as it was exported")
    agent = ExportedPolicy(logdir) if exported else load(logdir, acting)

    def make_policy(vector_env):
        actions = "native_act_space" if exported else "act_space"
        for name, kind in (("obs_space", "observations"), (actions, "actions")):
            expected, got = getattr(agent, name), getattr(vector_env, name)
            if expected != got:
                raise RunFolderError(
                    f"the policy in {logdir} has the {kind} {expected}; this environment has {got}"
                )
        if exported:
            return functools.partial(agent.policy, mode="eval", act_space=vector_env.act_space)
        return functools.partial(agent.policy, mode="eval")

    return make_policy


def _name(env):
    """What to call the task of a user's environment in score files."""
    name = getattr(env, "__name__", type(env).__name__)
    return UNNAMED if name == "<lambda>" else re.sub(r"\W+", "_", name)
