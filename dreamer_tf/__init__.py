"""The Dreamer family of world-model agents in TensorFlow 2 and Keras 3.

>>> import dreamer_tf as dreamer
>>> agent = dreamer.train("dmc_cartpole_balance", configs=["dmc", "cpu"], logdir="runs/balance")

`train`, `load` and `evaluate` are imported on first use, so that
``import dreamer_tf.envs, dreamer_tf.replay`` loads no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamer_tf.apps.api import evaluate, load, train
else:

    def __getattr__(name):
        if name in ("evaluate", "load", "train"):
            return getattr(importlib.import_module("dreamer_tf.apps.api"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "load", "train"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
