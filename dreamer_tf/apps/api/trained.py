"""What is done with a trained agent: `load`, `evaluate` and `export`."""

import dataclasses
import functools
import logging
import operator
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreamer_tf.envs import EnvError
from dreamer_tf.export.checks import check_free, check_onnx
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.runs.machine import quiet_tensorflow, start_tensorflow
from dreamer_tf.specs import are_alike
from dreamer_tf.training import session
from dreamer_tf.training.loading import load_saved

if TYPE_CHECKING:  # At run time this module does without TensorFlow.
    from dreamer_tf.agents import Agent

_LOGGER = logging.getLogger(__name__)


def load(
    logdir: str | os.PathLike,
    acting: Mapping[str, Any] | Sequence[str] = (),
    *,
    checkpoint: int | str | None = None,
    agent: "type[Agent] | None" = None,
) -> "Agent":
    """Loads the agent of a run from a checkpoint; needs no environment and no replay.

    Args:
      logdir: Run folder.
      acting: Options that change how it acts, dotted, such as ``{"dreamerv3.policy": "planner"}``;
        or words of a command line.
      checkpoint: ``"best"``, the one with the highest mean return in an evaluation; or the
        env_frames of one that is kept; None: the newest.
      agent: The agent's class, where it is one's own and no module has it under its name.

    Returns:
      The `dreamer_tf.agents.Agent`.

    Raises:
      RunFolderError: The folder holds no run, or no whole checkpoint.
      NoCheckpointError: It does not hold the one that was asked for; names those that it holds.
      ConfigError: An option does not exist, or cannot change after training.
    """
    return load_with_state(logdir, acting, checkpoint=checkpoint, agent=agent)[0]


def load_with_state(
    logdir: str | os.PathLike,
    acting: Mapping[str, Any] | Sequence[str] = (),
    *,
    checkpoint: int | str | None = None,
    agent: "type[Agent] | None" = None,
) -> "tuple[Agent, dict[str, Any]]":
    """As `load`; with what was saved beside the agent in its checkpoint, such as the counters."""
    quiet_tensorflow()
    start_tensorflow()
    return load_saved(logdir, checkpoint, agent, acting)


def export(
    logdir: str | os.PathLike,
    out: str | os.PathLike,
    *,
    litert: bool = True,
    onnx: bool = False,
    checkpoint: int | str | None = None,
    acting: Mapping[str, Any] | Sequence[str] = (),
) -> tuple[pathlib.Path, str | None]:
    """Writes the trained policy of a run as a SavedModel that TensorFlow alone can run.

    Args:
      logdir: Run folder.
      out: Folder to make.
      litert: Whether to write a LiteRT file, too, if its operations allow.
      onnx: Whether to write an ONNX file, too; needs the extra ``onnx``.
      checkpoint: As for `load`.
      acting: As for `load`.

    Returns:
      The folder, and why there is no LiteRT file: None if there is one, or none was wanted.

    Raises:
      RunFolderError: The folder holds no run, or no checkpoint yet.
      ExportError: The agent has nothing to export, the folder is taken, ONNX is not installed, or
        it cannot hold the policy.
    """
    config = run_folder.read_config(logdir)
    check_free(out)
    if onnx:
        check_onnx()
    agent = load(logdir, acting, checkpoint=checkpoint)
    warn_of_unknown_range(logdir)
    return agent.export(out, litert=litert, onnx=onnx, info={"task": config.task})


def warn_of_unknown_range(logdir: str | os.PathLike) -> None:
    """Warns that exports of a run answer between -1 and 1, where an early version started it."""
    if run_folder.load_native_actions(logdir) is None:
        _LOGGER.warning(
            "%s does not tell the environment's own action range: the export's numbers lie between "
            "-1 and 1. Continue the run for a moment and it will.",
            logdir,
        )


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
    checkpoint: int | str | None = None,
    agent: "type[Agent] | None" = None,
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
      checkpoint: As for `load`; an export has none to choose.
      agent: As for `load`.
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
    config = run_folder.read_config(logdir)
    config = dataclasses.replace(config, task=task or config.task)
    seed = session.derive_seed(config.seed if seed is None else seed, "evaluate")
    make_policy = _load_policy(logdir, acting, checkpoint=checkpoint, agent=agent)
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


def _load_policy(logdir, acting, **chosen):
    """Function of a `VectorEnv` to the policy of a run or of an export for it."""
    from dreamer_tf.export.exported_policy import ExportedPolicy, is_export

    exported = is_export(logdir)
    if exported and acting:
        raise RunFolderError(f"{logdir} is an export, which acts as it was exported")
    if exported and chosen["checkpoint"] is not None:
        raise RunFolderError(f"{logdir} is an export: it holds no checkpoints to choose among")
    agent = ExportedPolicy(logdir) if exported else load(logdir, acting, **chosen)

    def make_policy(vector_env):
        actions = "native_act_space" if exported else "act_space"
        # Nothing relies on the bounds of observed numbers; those of actions say what one means.
        same = {"obs_space": are_alike, actions: operator.eq}
        for name, kind in (("obs_space", "observations"), (actions, "actions")):
            expected, got = getattr(agent, name), getattr(vector_env, name)
            if not same[name](expected, got):
                raise RunFolderError(
                    f"the policy in {logdir} has the {kind} {expected}; this environment has {got}"
                )
        if exported:
            return functools.partial(agent.policy, mode="eval", act_space=vector_env.act_space)
        return functools.partial(agent.policy, mode="eval")

    return make_policy
