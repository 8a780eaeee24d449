"""Crafter: survival in an open world, with 22 achievements to unlock."""

import contextlib
import io

import numpy as np

from dreamer_tf.common.extras import install_hint
from dreamer_tf.envs.base import FrameEnv
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.specs import Space

REWARDS = ("reward", "noreward")
_PICTURE = (512, 512)
_LENGTH = 10_000


class Crafter(FrameEnv):
    """One world after another, seen as an image from above and played with 17 actions.

    The reward is 1 for each achievement that is unlocked for the first time in an episode, and a
    tenth of every change of health. An episode terminates when the player dies and is cut off after
    10,000 steps.

    What the log gets of each episode: ``achievement_<name>``, how often each was reached, and
    ``achievements``, how many different ones.

    Reference: arXiv:2109.06780.
    """

    def __init__(self, name, *, image_size=(64, 64), action_repeat=1, time_limit=0):
        """Makes the game.

        Args:
          name: ``reward``, or ``noreward`` for a reward that is always zero: only what an agent
            finds out by itself then leads to achievements.
          image_size: Height and width of the image.
          action_repeat: Frames per step; rewards are summed.
          time_limit: Frames until an episode is cut off; 0 for 10,000.

        Raises:
          EnvError: Another name, or no crafter.
        """
        super().__init__(action_repeat=action_repeat, time_limit=time_limit)
        if name not in REWARDS:
            raise EnvError(
                f"unknown task crafter_{name}: there are crafter_reward and crafter_noreward"
            )
        height, width = map(int, image_size)
        make = _load()
        self._env = make(size=(width, height), reward=name == "reward", length=_LENGTH, seed=0)
        self._obs_space = {"image": Space(np.uint8, (height, width, 3))}
        actions = len(self._env.action_names)
        self._act_space = {"action": Space(np.int32, (), 0, actions - 1)}
        self._image = self._achievements = None

    @property
    def obs_space(self):
        return self._obs_space

    @property
    def act_space(self):
        return self._act_space

    def render(self):
        """The present view, larger than the agent sees it."""
        return self._env.look(_PICTURE)

    def _begin(self, seed):
        self._image = self._env.restart(seed)
        self._achievements = {}

    def _advance(self, action):
        self._image, reward, over, info = self._env.step(int(action["action"]))
        self._achievements = info["achievements"]
        died = info["discount"] == 0
        return reward, died, over and not died

    def _observe(self):
        return {"image": self._image}

    def _log(self):
        counts = self._achievements
        log = {f"achievement_{name}": count for name, count in counts.items()}
        return log | {"achievements": sum(count > 0 for count in counts.values())}


def _load():
    """A class of environments whose episodes can be repeated."""
    try:
        # It loads gym, which advises in every process to move on; only its authors could do that.
        with contextlib.redirect_stderr(io.StringIO()):
            import gym  # noqa: F401

        import crafter
    except ModuleNotFoundError as error:
        raise EnvError(
            f"crafter tasks need the package crafter: {install_hint('crafter')} ({error})"
        ) from error

    class Repeatable(crafter.Env):
        """Crafter whose episodes depend on their seed and the actions alone."""

        def restart(self, seed):
            """Begins the episode of a seed, whatever was played before."""
            self._seed, self._episode = seed, 0
            return self.reset()

        def look(self, size):
            """A picture; looking changes nothing."""
            # The noise of the night comes from the generator that also moves the creatures.
            before = self._world.random.get_state()
            picture = self.render(size)
            self._world.random.set_state(before)
            return picture

        def _balance_chunk(self, chunk, objs):
            # They come in a set, ordered by their places in memory; one of them is then drawn.
            super()._balance_chunk(chunk, sorted(objs, key=lambda obj: tuple(obj.pos)))

    return Repeatable
