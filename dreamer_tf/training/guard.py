"""Stops a run whose updates keep being non-finite, and tells what the data looked like."""

import pathlib

import numpy as np

from dreamer_tf.common import write_json


class NonFiniteError(RuntimeError):
    """Too many updates in a row had a non-finite loss or gradient."""


class NonFiniteGuard:
    """Watches the metric ``nonfinite`` of every update.

    It looks at an update only when the next one has been started, so that it does not make the
    program wait for a device that works ahead.
    """

    def __init__(self, limit, folder):
        """Describes the guard.

        Args:
          limit: Updates in a row that may be skipped.
          folder: Run folder, for the dump.
        """
        self._limit = limit
        self._folder = pathlib.Path(folder)
        self._in_a_row = 0
        self._waiting = None

    def watch(self, grad_step, batch, metrics):
        """Notes an update, and checks the one before.

        Args:
          grad_step: Number of the update.
          batch: What it learned from.
          metrics: What `train_step` returned.

        Raises:
          NonFiniteError: If more updates in a row were skipped than allowed.
        """
        self.check()
        self._waiting = grad_step, batch, metrics

    def check(self):
        """Checks the last update; raises as `watch` does."""
        if self._waiting is None:
            return
        (grad_step, batch, metrics), self._waiting = self._waiting, None
        if not float(metrics["nonfinite"]):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row > self._limit:
            try:
                where = f"are in {self._dump(grad_step, batch, metrics)}"
            except OSError as error:
                where = f"could not be written ({error})"
            raise NonFiniteError(
                f"{self._in_a_row} updates in a row had a non-finite loss or gradient "
                f"(run.nonfinite_limit is {self._limit}); the statistics of the last batch and "
                f"its metrics {where}. The weights are those before these updates."
            )

    def _dump(self, grad_step, batch, metrics):
        path = self._folder / f"nonfinite-{grad_step}.json"
        values = {key: float(value) for key, value in metrics.items()}
        write_json(
            path,
            {
                "grad_step": grad_step,
                "metrics": {key: _json_number(value) for key, value in values.items()},
                "batch": {key: array_statistics(value) for key, value in batch.items()},
            },
        )
        return path


def array_statistics(array):
    """Shape, dtype, range, mean and number of non-finite values of an array, as JSON values."""
    array = np.asarray(array)
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    statistics = {"shape": list(array.shape), "dtype": str(array.dtype)}
    statistics["nonfinite"] = int(numbers.size - finite.size)
    if finite.size:
        statistics |= {
            "min": finite.min().item(),
            "mean": finite.mean().item(),
            "max": finite.max().item(),
        }
    return statistics


def _json_number(value):
    return value if np.isfinite(value) else str(value)
