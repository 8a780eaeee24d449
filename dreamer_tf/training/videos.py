"""Videos of episodes and predictions as MP4 or GIF files."""

import os
import pathlib

import imageio.v3 as imageio
import numpy as np

from dreamer_tf.envs import EnvDied, EnvError
from dreamer_tf.training.errors import NoPictureError, VideoFormatError

_SMALLEST_SIDE = 256
_FORMATS = (".mp4", ".gif")


def check_format(path):
    """Raises ``VideoFormatError`` unless the name ends in a format that can be written."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise VideoFormatError(f"a video ends in {' or '.join(_FORMATS)}, got {str(path)!r}")


def save_video(path, frames, fps=30):
    """Writes a video, in one step, with small pictures enlarged by whole factors.

    Args:
      path: File that ends in ``.mp4`` or ``.gif``; folders are made.
      frames: uint8 ``[T, height, width, channels]`` with 1 or 3 channels, or a list of such
        pictures.
      fps: Frames per second.

    Raises:
      VideoFormatError: If the name ends otherwise.
      ValueError: If the pictures are others.
    """
    path = pathlib.Path(path)
    check_format(path)
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in (1, 3):
        raise ValueError(
            f"expected uint8 frames [T, height, width, 1 or 3], got {frames.dtype} {frames.shape}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    frames = _even(_enlarge(np.repeat(frames, 3 // frames.shape[-1], axis=-1)))
    if path.suffix.lower() == ".gif":
        imageio.imwrite(partial, frames, duration=1000 / fps, loop=0)
    else:
        imageio.imwrite(partial, frames, fps=fps, codec="libx264", macro_block_size=2)
    os.replace(partial, path)


def beside(videos, count):
    """Lays the first videos of a batch side by side: ``[B, T, H, W, C]`` to ``[T, H, n W, C]``.

    Args:
      videos: uint8 ``[B, T, H, W, C]``.
      count: How many to show at most.
    """
    return np.concatenate(list(videos[:count]), axis=2)


class Recorder:
    """Keeps the pictures of the first episode of one environment; a callback of the driver.

    Args:
      picture: Function of a row that returns uint8 ``[height, width, channels]``.
      stream: Index of the environment.
    """

    def __init__(self, picture, stream=0):
        self._picture = picture
        self._stream = stream
        self._over = False
        self.frames = []
        """Pictures so far, uint8 ``[height, width, channels]``; empty without any."""

    def __call__(self, row, stream):
        """Takes in one row.

        Raises:
          NoPictureError: If there is no picture of it.
        """
        if stream != self._stream or self._over:
            return
        self._over = bool(row["is_last"])
        try:
            self.frames.append(np.array(self._picture(row)))
        except (EnvDied, EnvError) as error:
            raise NoPictureError(str(error)) from error


def make_recorder(envs, *, can_render):
    """A recorder for the first environment, of its images or else of pictures that it renders.

    Args:
      envs: ``dreamer_tf.envs.VectorEnv``.
      can_render: Whether to ask for pictures where no observation is one.

    Returns:
      A ``Recorder``, or None if there is nothing to film.
    """
    keys = sorted(key for key, space in envs.obs_space.items() if space.is_image)
    if keys:
        key = "image" if "image" in keys else keys[0]
        return Recorder(lambda row: row[key])
    return Recorder(lambda row: envs.render(0)) if can_render else None


def _enlarge(frames):
    factor = max(1, -(-_SMALLEST_SIDE // max(frames.shape[1:3])))
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)


def _even(frames):
    """Repeats the last row or column where a side is odd: the usual MP4 needs even sides."""
    height, width = frames.shape[1:3]
    return np.pad(frames, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], mode="edge")
