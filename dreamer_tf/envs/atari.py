"""Atari 2600 games through the Arcade Learning Environment."""

import numpy as np

from dreamer_tf.common.extras import install_hint
from dreamer_tf.envs.base import FrameEnv
from dreamer_tf.envs.errors import EnvError, nearest
from dreamer_tf.envs.pictures import resize
from dreamer_tf.specs import Space

_ALIASES = {"james_bond": "jamesbond"}


class Atari(FrameEnv):
    """A game, seen as an image and played with one category of buttons.

    Sprites flicker: a game may draw some of them in every other frame only. So an observation is
    the brighter of the last two frames, pixel by pixel, and then resized.

    Reference: arXiv:1709.06009 (sticky actions; what a lost life means); arXiv:1312.5602 and
    doi:10.1038/nature14236 (frames, no-ops).
    """

    def __init__(
        self,
        name,
        *,
        image_size=(64, 64),
        grayscale=False,
        all_actions=False,
        sticky_actions=0.25,
        noops=30,
        end_on_life_loss=False,
        action_repeat=1,
        time_limit=0,
    ):
        """Makes the game.

        Args:
          name: Name of the game, such as ``pong`` or ``ms_pacman``.
          image_size: Height and width of the image.
          grayscale: One channel instead of three.
          all_actions: All 18 actions of the console; otherwise those that do something in the game.
          sticky_actions: Probability, at each frame, that the last action goes on instead.
          noops: An episode begins with one to so many frames without an action; 0: with none.
          end_on_life_loss: Whether a lost life terminates the episode. The next one is a new game.
          action_repeat: Frames per step; rewards are summed.
          time_limit: Frames until an episode is cut off, those of the no-ops not counted; 0 for
            none.

        Raises:
          EnvError: Unknown game, or no ale-py.
        """
        super().__init__(action_repeat=action_repeat, time_limit=time_limit)
        self._size = (int(image_size[0]), int(image_size[1]))
        self._sticky_actions = sticky_actions
        self._noops = noops
        self._end_on_life_loss = end_on_life_loss
        self._ale = _load(name)
        self._start = self._ale.cloneState(include_rng=True)
        legal, minimal = self._ale.getLegalActionSet(), self._ale.getMinimalActionSet()
        self._actions = legal if all_actions else minimal
        self._noop = legal[0]
        channels = () if grayscale else (3,)
        self._read = self._ale.getScreenGrayscale if grayscale else self._ale.getScreenRGB
        self._screens = np.zeros((2, *self._ale.getScreenDims(), *channels), np.uint8)
        self._newest = 0
        self._obs_space = {"image": Space(np.uint8, (*self._size, 1 if grayscale else 3))}
        self._act_space = {"action": Space(np.int32, (), 0, len(self._actions) - 1)}
        self._rng = self._running = None
        self._lives = 0

    @property
    def obs_space(self):
        return self._obs_space

    @property
    def act_space(self):
        return self._act_space

    def render(self):
        """The present frame in the console's size, in colour."""
        return self._ale.getScreenRGB()

    def _begin(self, seed):
        self._rng = np.random.default_rng(seed)
        self._restart()
        for _ in range(self._rng.integers(1, self._noops + 1) if self._noops else 0):
            self._emulate(self._noop)
            if self._ale.game_over():
                self._restart()
        self._lives = self._ale.lives()

    def _restart(self):
        # Resetting alone leaves some games in a state that depends on what was played before.
        self._ale.reset_game()
        self._ale.restoreState(self._start)
        self._running = self._noop
        self._screens[:] = 0
        self._look()

    def _advance(self, action):
        reward = self._emulate(self._actions[int(action["action"])])
        lives, before = self._ale.lives(), self._lives
        self._lives = lives
        terminated = self._ale.game_over() or (self._end_on_life_loss and lives < before)
        return reward, terminated, False

    def _emulate(self, action):
        # The emulator could make actions sticky by itself, but takes another seed only when it
        # loads the game anew, which takes longer than most of what is done here.
        if self._rng.random() >= self._sticky_actions:
            self._running = action
        reward = self._ale.act(self._running)
        self._look()
        return reward

    def _look(self):
        self._newest = 1 - self._newest
        self._read(self._screens[self._newest])

    def _observe(self):
        image = np.atleast_3d(np.maximum(*self._screens))
        return {"image": resize(image, self._size)}


def _load(name):
    """The emulator with a game at its start."""
    try:
        import ale_py
    except ModuleNotFoundError as error:
        raise EnvError(
            f"atari_{name} needs the package ale-py, which brings the games: "
            f"{install_hint('atari')} ({error})"
        ) from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    # The only chance left is in the memory at power-up; what an episode's seed decides is ours.
    ale.setInt("random_seed", 0)
    ale.loadROM(_find_rom(name, ale_py))
    ale.reset_game()
    return ale


def _find_rom(name, ale_py):
    games = ale_py.roms.get_all_rom_ids()
    game = _ALIASES.get(name, name)
    if game not in games:
        known = [f"atari_{known}" for known in games]
        raise EnvError(f"unknown task atari_{name}; {nearest(f'atari_{name}', known)}")
    path = ale_py.roms.get_rom_path(game)
    # Loading such a game would end the process.
    if ale_py.ALEInterface.isSupportedROM(path) is None:
        raise EnvError(f"the Arcade Learning Environment cannot play {game}")
    return path
