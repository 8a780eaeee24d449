"""A policy that was exported, with the interface of the agent it came from."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Literal

import numpy as np
import tensorflow as tf

from dreamer_tf.export.native_actions import NativeActions
from dreamer_tf.export.saved_model import MANIFEST
from dreamer_tf.specs import Space, space_from_json

SIGNATURES = {"train": "act_sample", "eval": "act"}


def is_export(folder: str | os.PathLike) -> bool:
    """Whether a folder holds an export."""
    return (pathlib.Path(folder) / MANIFEST).is_file()


class ExportedPolicy:
    """Calls the signatures of an export.

    Attributes:
      obs_space: Dict of observation key to `Space`.
      native_act_space: Dict of action key to the environment's own `Space`.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        """Loads an export.

        Args:
          folder: Its folder.
        """
        manifest = json.loads((pathlib.Path(folder) / MANIFEST).read_text(encoding="utf-8"))
        spaces: dict[str, dict[str, Space]] = {}
        self._names: dict[str, str] = {}
        for group in ("observations", "actions"):
            spaces[group] = {key: space_from_json(x) for key, x in manifest[group].items()}
            self._names |= {key: x["name"] for key, x in manifest[group].items()}
        self.obs_space, self.native_act_space = spaces["observations"], spaces["actions"]
        self._signatures = tf.saved_model.load(str(folder)).signatures

    def policy(
        self,
        obs: Mapping[str, np.ndarray],
        state: dict[str, tf.Tensor] | None,
        mode: Literal["train", "eval"],
        act_space: Mapping[str, Space],
    ) -> tuple[dict[str, np.ndarray], dict[str, tf.Tensor]]:
        """As `Agent.policy` for a batch of observations.

        Args:
          obs: Dict of arrays ``[N, ...]`` with ``is_first``.
          state: What the last call returned, or None.
          mode: ``train`` or ``eval``.
          act_space: Dict of action key to the `Space` to answer in.
        """
        if state is None:
            size = tf.constant(len(obs["is_first"]))
            state = self._signatures["initial_state"](batch_size=size)
        inputs = {self._names[key]: tf.constant(obs[key]) for key in self.obs_space}
        answer = self._signatures[SIGNATURES[mode]](
            **inputs, **state, is_first=tf.constant(np.asarray(obs["is_first"], bool))
        )
        native = {key: answer[self._names[key]] for key in self.native_act_space}
        actions = NativeActions(act_space, self.native_act_space).from_native(native)
        return (
            {key: action.numpy() for key, action in actions.items()},
            {name: value for name, value in answer.items() if name in state},
        )
