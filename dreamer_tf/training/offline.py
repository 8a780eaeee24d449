"""Learning from recorded episodes: the loop without acting.

Frames are updates here: ``steps``, ``run.log_every``, ``run.eval_every`` and ``run.video_every``
count grad_steps, and so does the ``step`` of the metrics.
"""

from dreamer_tf.common import counted
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.runs.lost import read_starts
from dreamer_tf.training.loop import Trainer


class OfflineTrainer(Trainer):
    """Makes updates where the loop acts."""

    def run(self):
        """As that of `Trainer`; says where the episodes are from that are learned from."""
        parts, folder = self._parts, self._parts.run.logdir
        if len(read_starts(folder)) > 1:
            parts.log.terminal.message(
                f"goes on with the {counted(parts.replay.episodes, 'episode')} in "
                f"{folder / 'replay'}; the data given are not read"
            )
        super().run()

    def _learn(self):
        """What is due is made by `_act`."""

    def _act(self):
        parts, done = self._parts, self._counters.grad_steps
        if not parts.learner.is_ready():
            raise RunFolderError("the replay of the run holds no recorded episode any more")
        if not self._learning:
            self._learning = True
            parts.log.terminal.message(
                f"learning from {parts.replay.episodes:,} recorded episodes with "
                f"{parts.replay.rows:,} rows: what is called frames below are updates"
            )
        run = parts.config.run
        periods = [period for period in (run.log_every, run.eval_every) if period]
        until_due = min(period - done % period for period in periods)
        block = min(until_due, parts.config.steps - done)
        parts.learner.update(block, self._interrupt_updates, self._store)
        self._counters.env_frames = self._counters.grad_steps
