"""The Dreamer family of world-model agents in TensorFlow 2 and Keras 3.

>>> import dreamer_tf as dreamer
>>> run = dreamer.train("dmc_cartpole_balance", configs=["dmc", "cpu"], logdir="runs/balance")
>>> run.curve.ys, run.agent

`train` and the others are imported on first use, so that
``import dreamer_tf.envs, dreamer_tf.replay`` loads no TensorFlow.
"""

import importlib
import os
from typing import TYPE_CHECKING

# Keras reads it when it is imported, which is later; another project may have chosen otherwise,
# also in ~/.keras/keras.json.
os.environ["KERAS_BACKEND"] = "tensorflow"

if TYPE_CHECKING:
    from dreamer_tf.apps.api import (
        evaluate,
        fit,
        load,
        load_components,
        publish,
        to_minari,
        train,
    )
    from dreamer_tf.training.callbacks import Callback
else:
    _ROOMS = {
        "Callback": "dreamer_tf.training.callbacks",
        **dict.fromkeys(
            ("evaluate", "fit", "load", "load_components", "publish", "to_minari", "train"),
            "dreamer_tf.apps.api",
        ),
    }

    def __getattr__(name):
        if name in _ROOMS:
            return getattr(importlib.import_module(_ROOMS[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"
__all__ = [
    "Callback",
    "__version__",
    "evaluate",
    "fit",
    "load",
    "load_components",
    "publish",
    "to_minari",
    "train",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
