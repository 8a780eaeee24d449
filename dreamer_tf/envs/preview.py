"""Shows what an agent will see of an environment, or everything that is wrong with it."""

import functools
import re
from typing import Any

import numpy as np

from dreamer_tf.envs.errors import EnvDied, EnvError
from dreamer_tf.envs.process import ProcessHost
from dreamer_tf.envs.registry import make
from dreamer_tf.envs.users import from_user

_STEPS_AFTER_PROBLEM = 20
_ANSWER_SECONDS = 600.0
_NUMBER = re.compile(r"-?\d[\d.e+-]*")


def check_env(environment: Any, *, seed: int = 0, steps: int = 1000, **options: Any) -> str:
    """Plays an episode of random actions as training would, and describes what the agent sees.

    Then it plays the same episode again: a run that continues does that.

    The environment lives in a worker process, as in training.

    Args:
      environment: Whatever `from_user` takes, or the name of a task, see `make`.
      seed: Of the episode and the actions.
      steps: Ends the episode after this many steps at the latest.
      **options: Of `from_user` or `make`: ``action_repeat``, ``time_limit``, ``image_size``,
        ``keys``, ``kwargs``.

    Returns:
      Text: keys, dtypes, shapes, bounds and seen values of observations and actions, rewards,
      length of the episode and how it ended, and what else there is to know.

    Raises:
      EnvError: If it cannot be used: with all problems, in ``problems`` and as a numbered list.
    """
    make_env = make if isinstance(environment, str) else from_user
    examination = _Examination(functools.partial(make_env, environment, **options))
    try:
        examination.run(seed, steps)
    finally:
        examination.close()
    if examination.problems:
        raise _Unusable(examination.problems, examination.notices)
    return "\n".join(examination.lines())


class _Unusable(EnvError):
    """All problems of an environment as one list."""

    def __init__(self, problems, notices):
        super().__init__(*problems)
        self._notices = notices

    def __str__(self):
        count = len(self.problems)
        head = f"{count} problem{'s' if count > 1 else ''}:"
        items = [f"{number}. {text}" for number, text in enumerate(self.problems, 1)]
        notices = ["to know:", *(f"  {text}" for text in self._notices)] if self._notices else []
        return "\n".join([head, *items, *notices])


class _Examination:
    """One environment in a worker, what is wrong with it, and what it showed."""

    def __init__(self, constructor):
        self._host = None
        self._constructor = constructor
        self.problems, self.notices, self._known = [], [], set()
        self._rows, self._actions, self._spaces = [], [], None
        self._is_repeatable, self._played = True, False

    def run(self, seed, steps):
        """Builds the environment, and plays."""
        try:
            self._host = ProcessHost(self._constructor, limit=_ANSWER_SECONDS)
            self._spaces = self._host.wait_until_ready()
        except EnvError as error:
            self._add(error.problems)
            return
        finally:
            self._take_notices()
        try:
            self._compare_first_rows(seed)
            self._play(seed, steps)
            if not self.problems:
                self._play_again(seed)
            self._draw()
        except EnvDied as error:
            count, again = max(len(self._rows) - 1, 0), ", in the next episode,"
            after = f"after {count} steps{again if self._played else ''}"
            self._add([f"{after} the environment failed: {error}"])
        finally:
            self._take_notices()

    def close(self):
        """Ends the worker."""
        if self._host is not None:
            self._host.close()

    def lines(self):
        """What there is to say about an environment that can be used."""
        obs_space, act_space, _, frames_per_step = self._spaces
        yield "observations"
        for key, space in obs_space.items():
            seen = np.stack([row[key] for row in self._rows])
            yield f"  {key}: {space}, seen {seen.min():g} to {seen.max():g}"
        yield "actions"
        yield from (f"  {key}: {space}" for key, space in act_space.items())
        rewards = np.array([row["reward"] for row in self._rows[1:]])
        yield (f"reward: {rewards.min():g} to {rewards.max():g} per step, return {rewards.sum():g}")
        frames = f"{frames_per_step} frames per step"
        yield f"episode: {len(rewards)} steps ({frames}), {_describe_end(self._rows[-1])}"
        if self.notices:
            yield "to know"
            yield from (f"  {text}" for text in self.notices)

    def _compare_first_rows(self, seed):
        first, again = self._ask("reset", seed), self._ask("reset", seed)
        if first is None or again is None:
            return
        keys = [key for key in self._spaces[0] if not np.array_equal(first[key], again[key])]
        self._is_repeatable = not keys
        if keys:
            self.notices.append(
                f"two resets with the seed {seed} begin differently ({', '.join(map(repr, keys))}):"
                f" episodes are not decided by their seed, so a run cannot be repeated"
            )

    def _play_again(self, seed):
        """Resets after the episode's end, and takes the same actions."""
        self._played = True
        for number, (action, before) in enumerate(zip(self._actions, self._rows, strict=True)):
            row = self._ask("step", action) if number else self._ask("reset", seed)
            if row is None or not self._is_repeatable:
                return
            # What is only logged may be said at the end alone.
            keys = [key for key in before if not np.array_equal(row.get(key), before[key])]
            if keys:
                self.notices.append(
                    f"played again with the seed {seed} and the same actions, the episode differs "
                    f"at step {number} ({', '.join(map(repr, keys))}): a run cannot be repeated, "
                    f"nor continued within an episode"
                )
                return

    def _play(self, seed, steps):
        rng = np.random.default_rng(seed)
        row = self._ask("reset", seed)
        self._rows, self._actions = [row], [None]
        while len(self._rows) <= steps and not (row is not None and row["is_last"]):
            action = {key: space.sample(rng) for key, space in self._spaces[1].items()}
            row = self._ask("step", action)
            self._rows.append(row)
            self._actions.append(action)
            if self.problems and len(self._rows) > _STEPS_AFTER_PROBLEM:
                break
        if row is not None and not row["is_last"] and not self.problems:
            self.notices.append(
                f"no end within {len(self._rows) - 1} steps: evaluations wait for the ends of "
                f"episodes, and most agents learn from ended ones only; env.time_limit cuts them"
            )

    def _draw(self):
        if any(space.is_image for space in self._spaces[0].values()):
            return
        self._host.send("render")
        try:
            self._host.receive()
        except (EnvError, EnvDied) as error:
            self.notices.append(f"evaluations are not filmed: {_last_line(error)}")

    def _ask(self, command, argument):
        """The row that answers a command; None if it is wrong, which is noted."""
        self._host.send(command, argument)
        try:
            return self._host.receive()
        except EnvError as error:
            self._add(error.problems)
            return None

    def _add(self, problems):
        for text in problems:
            # The same problem of the next step shows other numbers.
            identity = _NUMBER.sub("#", text)
            if identity not in self._known:
                self._known.add(identity)
                self.problems.append(text)

    def _take_notices(self):
        if self._host is not None:
            self.notices += [text for _, text in self._host.take_notices()]


def _describe_end(row):
    if row["is_terminal"]:
        return "terminated"
    return "cut off" if row["is_last"] else "still running"


def _last_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
