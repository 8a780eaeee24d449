"""One dream: from a recorded moment on, step by step, along whatever actions."""

import dataclasses

import numpy as np

from dreamer_tf.apps.dream.errors import RequestError
from dreamer_tf.behaviors import Latent

LONGEST = 2000
"""Steps of a dream."""

IMAGINE, CHOOSE = 1 << 20, 1 << 21
"""Where the draws of imagined steps and of choices are counted from; those of filtering from 0."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A state of a dream and what led there.

    Attributes:
      latent: The `Latent`.
      action: Dict of action key to array, of the agent's space, that led there; None at the moment.
      chosen_by: ``you``, ``recorded``, or one of the behaviour's choices; None at the moment.
      follows: Whether all actions since the moment were the recorded ones.
      judged: Dict of floats, see `LatentModel.judge`.
      observations: Dict of decoded observations ``[*shape]``.
    """

    latent: Latent
    action: dict | None
    chosen_by: str | None
    follows: bool
    judged: dict
    observations: dict


class Dream:
    """Imagined states behind a moment.

    ::

        recorded   o_t   ──a_t──►  o_{t+1}  ──a_{t+1}──►  o_{t+2}       row t + k of the episode
        filtered   s_t             s_{t+1}                s_{t+2}       with the observations seen
        dreamed    s_t   ──b_0──►  z_1      ──b_1──────►  z_2           step k; z_0 = s_t
        reward     r_t             r_{t+1}                r_{t+2}       for arriving

    The recorded action ``a_{t+k}`` stands in row ``t + k + 1``, with the observation that it led
    to. Step k is a function of the seed, the moment and the actions before it: going back and
    taking the same action leads to the same state.
    """

    def __init__(self, model, replayed, rows, moment, seed):
        """Begins at a moment.

        Args:
          model: `CompiledModel`.
          replayed: `Replayed` of the episode.
          rows: Dict of arrays ``[rows, ...]``, see `dreamer_tf.specs`.
          moment: Row t.
          seed: Int that decides every draw.
        """
        self._model = model
        self._rows = rows
        self._length = len(rows["reward"])
        self._seed = seed
        self.replayed = replayed
        self.moment = moment
        latent = replayed.latent(moment)
        self.steps = [Step(latent, None, None, True, *model.look(latent))]

    def row(self, step):
        """The row of the episode beside a step; None behind the episode's end."""
        row = self.moment + step
        return row if row < self._length else None

    def recorded_action(self, step):
        """The action that truly was taken at a step, dict of arrays; None if none was."""
        row = self.row(step + 1)
        keys = self._model.action_keys
        return None if row is None else {key: self._rows[key][row] for key in keys}

    def choose(self, step, choice):
        """The action that the agent, or the recording, takes at a step.

        Args:
          step: Number of a step that was dreamed.
          choice: ``recorded`` or one of the behaviour's choices.

        Raises:
          RequestError: If nothing was recorded there.
        """
        if choice != "recorded":
            latent = self.steps[step].latent
            return self._model.choose(latent, choice, (self._seed, CHOOSE + step))
        action = self.recorded_action(step)
        if action is None:
            raise RequestError(
                f"no action was recorded at step {step}: the episode ends at its row "
                f"{self._length - 1}, step {self._length - 1 - self.moment}; choose another one",
                409,
            )
        return action

    def take(self, step, action, chosen_by):
        """Dreams on from a step; what was dreamed behind it is forgotten.

        Args:
          step: Number of a step that was dreamed.
          action: Dict of arrays of the agent's space.
          chosen_by: Who chose it.

        Returns:
          The new `Step`.

        Raises:
          RequestError: If the dream is as long as it may be.
        """
        if step >= LONGEST:
            raise RequestError(f"a dream has at most {LONGEST} steps; begin another one", 409)
        before, recorded = self.steps[step], self.recorded_action(step)
        follows = before.follows and recorded is not None and _same(action, recorded)
        latent = self._model.step(before.latent, action, (self._seed, IMAGINE + step))
        after = Step(latent, action, chosen_by, follows, *self._model.look(latent))
        self.steps[step + 1 :] = [after]
        return after


def _same(action, other):
    # Stretching to the environment's range and back may round.
    return all(np.allclose(action[key], other[key], rtol=0, atol=1e-5) for key in action)
