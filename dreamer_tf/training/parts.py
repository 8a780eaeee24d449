"""What a run is made of."""

import dataclasses

from dreamer_tf.agents import Agent
from dreamer_tf.config import Config
from dreamer_tf.envs import VectorEnv
from dreamer_tf.replay import Replay
from dreamer_tf.runs.checkpoint import Checkpoints
from dreamer_tf.runs.log import RunLog
from dreamer_tf.training.callbacks import Run
from dreamer_tf.training.evaluation import Evaluator
from dreamer_tf.training.guard import NonFiniteGuard
from dreamer_tf.training.learner import Learner, Stopwatch
from dreamer_tf.training.overlap import ActingCopy
from dreamer_tf.training.pace import Counters
from dreamer_tf.training.stopping import StopSignals


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a run is made of; ``session.py`` puts it together.

    Attributes:
      config: Options.
      agent: Learns.
      acting: Plays the other training episodes: the agent, or with ``run.overlap`` its copy.
      random_agent: Plays the seed episodes.
      envs: Environments to act in.
      evaluator: Plays evaluations in environments of its own.
      replay: Keeps the experience.
      learner: Makes updates.
      checkpoints: Saves.
      log: Writes metrics and videos.
      stop: Tells when to stop.
      run: What callbacks see; they may stop it, too.
      counters: Shared with ``learner``.
      stopwatch: Shared with ``learner``, unless that works beside the rest.
    """

    config: Config
    agent: Agent
    acting: Agent | ActingCopy
    random_agent: Agent
    envs: VectorEnv
    evaluator: Evaluator
    replay: Replay
    learner: Learner
    checkpoints: Checkpoints
    log: RunLog
    stop: StopSignals
    run: Run
    counters: Counters
    stopwatch: Stopwatch


def make_learner(config, folder, agent, replay, carry, counters, stopwatch):
    """A `Learner` with the options of a run."""
    return Learner(
        agent,
        replay,
        carry=carry,
        batch_size=config.replay.batch_size,
        batch_length=config.replay.batch_length,
        counters=counters,
        stopwatch=stopwatch,
        guard=NonFiniteGuard(config.run.nonfinite_limit, folder),
    )
