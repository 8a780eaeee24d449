"""Training, loading and evaluating from Python.

>>> import dreamer_tf as dreamer
>>> result = dreamer.train(lambda: MyEnv(), logdir="runs/mine")
>>> action, state = result.agent.policy(obs, state)

The commands and these functions are the two ways into a run. They stand above everything because
both hand in what training knows nothing of: the report that is written at the end.
"""

from dreamer_tf.apps.api.data import fit, to_minari
from dreamer_tf.apps.api.publishing import publish
from dreamer_tf.apps.api.trained import Evaluation, evaluate, export, load
from dreamer_tf.apps.api.training import Result, train
from dreamer_tf.training.loading import load_components

__all__ = [
    "Evaluation",
    "Result",
    "evaluate",
    "export",
    "fit",
    "load",
    "load_components",
    "publish",
    "to_minari",
    "train",
]
