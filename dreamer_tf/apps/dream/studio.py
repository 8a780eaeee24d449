"""A run to dream in: its agent, its episodes, and the dreams that are being dreamed.

All answers are JSON values; a server has only to pass them on.
"""

import collections
import dataclasses
import secrets
import threading

import numpy as np
import tensorflow as tf

from dreamer_tf import config as configs
from dreamer_tf.apps.api.trained import load_with_state
from dreamer_tf.apps.dream import checks, encoding
from dreamer_tf.apps.dream.compiled import CompiledModel
from dreamer_tf.apps.dream.dream import LONGEST, Dream
from dreamer_tf.apps.dream.episodes import Episodes, returns_to_go
from dreamer_tf.apps.dream.errors import DreamError, RequestError
from dreamer_tf.apps.dream.replayed import Replayed
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.tasks import canonical, title
from dreamer_tf.apps.report.summary import unit
from dreamer_tf.export.native_actions import NativeActions
from dreamer_tf.replay.store import OpenFiles
from dreamer_tf.runs import run_folder

_DREAMS = 8
_OPEN_EPISODES = 8
_SLICE = 256


class Studio:
    """Answers what the page asks, one question at a time.

    Attributes:
      notes: List of messages about what could not be read.
      model: `CompiledModel`.
    """

    def __init__(self, run):
        """Loads the agent of a run from its newest checkpoint.

        Args:
          run: Run folder.

        Raises:
          ConfigError: If it is no run folder.
          RunFolderError: If it has no checkpoint.
          DreamError: If the agent has no world model, or there is no episode to begin in.
        """
        self._config = configs.read(run)
        agent, state = load_with_state(run)
        if not agent.latent_model:
            raise DreamError(
                f"the agent {agent.name!r} has no world model to dream in; expected a run of an "
                "agent that learns one, such as dreamerv3"
            )
        self._agent = agent
        self._frames = state["counters"]["env_frames"]
        self._unit = unit(self._frames, state["counters"]["agent_steps"])
        self._knows_range = run_folder.load_native_actions(run) is not None
        self._native = NativeActions(agent.act_space, agent.native_act_space)
        self._folder = Episodes(run, agent.obs_space, agent.act_space)
        self._newest, self.notes = self._folder.newest_whole()
        self._episodes = OpenFiles(self._folder.open, _OPEN_EPISODES)
        self.model = CompiledModel(agent)
        self._dreams = collections.OrderedDict()
        # TensorFlow is asked by one request at a time, and a dream changes by one at a time.
        self._lock = threading.Lock()

    def about(self):
        """What is dreamed with: dict for the page's head and its controls."""
        agent, config = self._agent, self._config
        model = agent.latent_model
        behavior, valuation, decoder = model.behavior, model.valuation, model.decoder
        return {
            "agent": styles([config.agent])[config.agent].label,
            "task": title(canonical(config.task)),
            "seed": config.seed,
            "frames": self._frames,
            "steps": config.steps,
            "unit": self._unit,
            "is_finished": self._frames >= config.steps,
            "behavior": behavior.kind,
            "choices": list(behavior.choices),
            "discount": valuation.discount if valuation else None,
            "counts_arrival": valuation.counts_arrival if valuation else None,
            "has_cont": "cont" in model.predictions,
            "decoded": list(decoder.keys) if decoder else [],
            "observations": {k: encoding.seen(s) for k, s in agent.obs_space.items()},
            "actions": {k: encoding.done(s) for k, s in agent.native_act_space.items()},
            "knows_range": self._knows_range,
            "newest": self._newest,
            "longest": LONGEST,
            "notes": self.notes,
        }

    def episodes(self):
        """List of the episodes' numbers and rows, oldest first."""
        return [[name.serial, name.rows] for name in self._folder.names()]

    def episode(self, serial):
        """An episode as a whole: its rewards, and how it ended.

        Args:
          serial: Its number.

        Raises:
          RequestError: If it cannot be read.
        """
        with self._lock:
            rows = self._episodes[serial]
            learned = self._learned_rewards(rows)
        return {
            "episode": serial,
            "rows": len(learned),
            "return": encoding.number(np.sum(rows["reward"], dtype=np.float64)),
            "rewards": encoding.flat(learned),
            "is_transformed": not np.allclose(learned, rows["reward"], atol=1e-6),
            "is_terminal": bool(rows["is_terminal"][-1]),
        }

    def row(self, serial, row):
        """The observations of one row, to look for a moment.

        Raises:
          RequestError: If there is no such row.
        """
        with self._lock:
            rows = self._episodes[serial]
            checks.integer(row, "row", 0, len(rows["reward"]) - 1)
            return {"row": row, "observations": self._observations(rows, row)}

    def begin(self, body):
        """Begins a dream.

        Args:
          body: JSON: ``episode``, ``row``, the moment, and ``seed``.

        Returns:
          Dict with the dream's ``id`` and its ``step`` 0.

        Raises:
          RequestError: If the request does not fit.
        """
        checks.fields(body, ["episode", "row", "seed"])
        serial = checks.integer(body["episode"], "episode", 1, checks.BIGGEST)
        seed = checks.integer(body["seed"], "seed", 0, checks.BIGGEST)
        with self._lock:
            rows = self._episodes[serial]
            row = checks.integer(body["row"], "row", 0, len(rows["reward"]) - 1)
            dream = Dream(self.model, Replayed(self.model, rows, row, seed), rows, row, seed)
            rewards = self._learned_rewards(rows)
            told = _Told(dream, rows, rewards, self._to_go(rewards))
            name = secrets.token_hex(8)
            self._dreams[name] = told
            while len(self._dreams) > _DREAMS:
                self._dreams.popitem(last=False)
            return {"id": name, "step": self._tell(told, 0)}

    def step(self, name, body):
        """Dreams one step on.

        Args:
          name: The dream's ``id``.
          body: JSON: ``at``, the step to go on from; ``by``: ``you``, ``recorded`` or one of the
            agent's choices; of ``you`` also ``action``, see `checks.action`.

        Returns:
          Dict that describes the new step.

        Raises:
          RequestError: If the request does not fit.
        """
        checks.fields(body, ["at", "by"], ["action"])
        allowed = ["you", "recorded", *self._agent.latent_model.behavior.choices]
        by = checks.one_of(body["by"], "by", allowed)
        if (by == "you") != ("action" in body):
            raise RequestError("expected an action if it is by 'you', and none otherwise")
        with self._lock:
            if name not in self._dreams:
                raise RequestError(
                    f"this dream is over: the server remembers {_DREAMS}; begin it again", 410
                )
            self._dreams.move_to_end(name)
            told = self._dreams[name]
            at = checks.integer(body["at"], "at", 0, len(told.dream.steps) - 1)
            if by == "you":
                native = checks.action(body["action"], self._native.native_space)
                action = _numpy(self._native.from_native(native))
            else:
                action = told.dream.choose(at, by)
            told.dream.take(at, action, by)
            return self._tell(told, at + 1)

    def _tell(self, told, number):
        """A step, and what truly happened beside it."""
        dream = told.dream
        step, next_action = dream.steps[number], dream.recorded_action(number)
        return {
            "step": number,
            "by": step.chosen_by,
            "action": self._tell_action(step.action),
            "follows": step.follows,
            "imagined": {
                **encoding.numbers(step.judged),
                "observations": self._encode(step.observations),
            },
            "true": self._tell_truth(told, dream.row(number)),
            "next_recorded": self._tell_action(next_action),
        }

    def _tell_truth(self, told, row):
        if row is None:
            return None
        truth = {
            "row": row,
            "reward": encoding.number(told.rewards[row]),
            "cont": 0.0 if told.rows["is_terminal"][row] else 1.0,
            "is_last": bool(told.rows["is_last"][row]),
            "is_terminal": bool(told.rows["is_terminal"][row]),
            "observations": self._observations(told.rows, row),
        }
        if self._agent.latent_model.valuation:
            judged = told.dream.replayed.judged(row)
            truth |= {
                "value": encoding.number(judged["value"]),
                "to_go": encoding.number(told.to_go[row]),
            }
        return truth

    def _tell_action(self, action):
        if action is None:
            return None
        tensors = {key: tf.constant(value) for key, value in action.items()}
        native = _numpy(self._native.to_native(tensors))
        return {key: encoding.flat(value) for key, value in native.items()}

    def _observations(self, rows, row):
        return self._encode({key: rows[key][row] for key in self._agent.obs_space})

    def _encode(self, observations):
        spaces = self._agent.obs_space
        return {k: encoding.observation(x, spaces[k]) for k, x in observations.items()}

    def _to_go(self, rewards):
        valuation = self._agent.latent_model.valuation
        if not valuation:
            return None
        return returns_to_go(rewards, valuation.discount, counts_arrival=valuation.counts_arrival)

    def _learned_rewards(self, rows):
        """Rewards as the model learns them, ``[rows]``."""
        parts = [
            self._agent.prepare({key: x[start : start + _SLICE] for key, x in rows.items()})
            for start in range(0, len(rows["reward"]), _SLICE)
        ]
        return np.concatenate([np.asarray(part["reward"]) for part in parts])


@dataclasses.dataclass(frozen=True)
class _Told:
    """A dream with what is told beside it.

    Attributes:
      dream: `Dream`.
      rows: Dict of arrays ``[rows, ...]`` of its episode.
      rewards: ``[rows]`` as the model learns them.
      to_go: ``[rows]`` returns of the episode's rest; None without values.
    """

    dream: Dream
    rows: dict
    rewards: np.ndarray
    to_go: np.ndarray | None


def _numpy(tensors):
    return {key: np.asarray(value) for key, value in tensors.items()}
