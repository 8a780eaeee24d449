"""Sends the metrics of a run to every place at once."""

import pathlib

from dreamer_tf.training.writers import MetricsFile, Scores, TensorBoard


class RunLog:
    """The metrics file, TensorBoard, the terminal and the learning curve of one run.

    Args:
      folder: Run folder.
      config: ``Config``.
      terminal: See ``terminal.py``.
      env_frames: Where the run continues.
    """

    def __init__(self, folder, config, terminal, env_frames):
        folder = pathlib.Path(folder)
        self.terminal = terminal
        self._scores = Scores(
            folder / "scores.json",
            task=config.task,
            method=config.agent,
            seed=config.seed,
            until=env_frames,
        )
        self._curve = "eval/return" if config.run.eval_every else "train/return"
        self._file = MetricsFile(folder / "metrics.jsonl")
        self._tensorboard = TensorBoard(folder / "tensorboard")

    @property
    def best_score(self):
        """Highest point of the learning curve so far; None without any."""
        return self._scores.best

    def write(self, env_frames, metrics):
        """Writes a dict of name to finite number."""
        self._file.write(env_frames, metrics)
        self._tensorboard.write(env_frames, metrics)
        self.terminal.metrics(env_frames, metrics)
        if self._curve in metrics:
            self._scores.add(env_frames, metrics[self._curve])

    def save_scores(self):
        """Brings ``scores.json`` up to date."""
        self._scores.save()

    def close(self):
        """Closes all files."""
        self._scores.save()
        self._tensorboard.close()
        self._file.close()
