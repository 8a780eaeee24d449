"""Backgrounds that move, for images in which most pixels are of no use to the task."""

import numpy as np

_WAVES = 8
_LONGEST = 1.5  # Waves across the picture, at least; and at most:
_SHORTEST = 4.0
_FASTEST = 0.02  # Periods in a frame: half a second to some seconds at 50 to 100 frames a second.


class MovingBackground:
    """Coloured waves that drift across each other: smooth in space and time, as films are.

    Each colour is the sum of plane waves ``sin(2π (k · x + f t + φ))`` with wave vectors k,
    frequencies f and phases φ of its own, brought to the whole range of bytes. All of them are
    drawn anew for each episode, from its seed alone, so a background repeats with its episode and
    no two episodes have the same.
    """

    def __init__(self):
        """Begins no episode yet."""
        self._vectors = self._offsets = self._frequencies = None

    def begin(self, seed):
        """Draws the waves of an episode.

        Args:
          seed: The episode's seed. What the simulator draws from the same seed is independent.
        """
        rng = np.random.default_rng([seed, _WAVES])
        angle = rng.uniform(0, 2 * np.pi, (3, _WAVES))
        length = rng.uniform(_LONGEST, _SHORTEST, (3, _WAVES))
        self._vectors = length[..., None] * np.stack([np.sin(angle), np.cos(angle)], -1)
        self._offsets = rng.uniform(0, 1, (3, _WAVES))
        self._frequencies = rng.uniform(-_FASTEST, _FASTEST, (3, _WAVES))

    def frame(self, time, size):
        """The picture at a time of the episode.

        Args:
          time: Simulator frames since its beginning.
          size: Height and width; the same waves in each.

        Returns:
          uint8 ``[height, width, 3]``.
        """
        height, width = size
        y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
        phases = np.einsum("hwd,cnd->hwcn", np.stack([y, x], -1), self._vectors) + self._offsets
        waves = np.sin(2 * np.pi * (phases + self._frequencies * time))
        # The sum of n waves has the deviation sqrt(n / 2): two of them reach the ends.
        level = waves.sum(-1) / np.sqrt(2 * _WAVES)
        return (255 * np.clip(0.5 + 0.5 * level, 0, 1)).astype(np.uint8)
