"""Video files, MP4 or GIF."""

import os
import pathlib
from typing import Any

import imageio.v2 as imageio_v2
import imageio.v3 as imageio
import numpy as np
from numpy.typing import ArrayLike

from dreamer_tf.common import replacing
from dreamer_tf.runs.errors import VideoFormatError
from dreamer_tf.runs.writers import Writer

_SMALLEST_SIDE = 256
_FORMATS = (".mp4", ".gif")


def check_format(path: str | os.PathLike) -> None:
    """Raises `VideoFormatError` unless the name ends in a format that can be written."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise VideoFormatError(f"a video ends in {' or '.join(_FORMATS)}, got {str(path)!r}")


def save_video(path: str | os.PathLike, frames: ArrayLike, fps: float = 30) -> None:
    """Writes a video, in one step, with small pictures enlarged by whole factors.

    Args:
      path: File that ends in ``.mp4`` or ``.gif``; folders are made.
      frames: uint8 ``[T, height, width, channels]``, or a list of such pictures; see `showable`.
      fps: Frames per second.

    Raises:
      VideoFormatError: If the name ends otherwise.
      ValueError: If the pictures are others.
    """
    path = pathlib.Path(path)
    check_format(path)
    shown = showable(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One by one: what people look at is many times larger than what an agent sees.
    pictures = (_even(_enlarge(np.repeat(one, 3 // one.shape[-1], axis=-1))) for one in shown)
    with replacing(path, keep_ending=True) as partial:
        if path.suffix.lower() == ".gif":
            imageio.imwrite(partial, list(pictures), duration=1000 / fps, loop=0)
            return
        options = {"fps": fps, "codec": "libx264", "macro_block_size": 2}
        film: Any = imageio_v2.get_writer(partial, format="FFMPEG", mode="I", **options)
        with film:
            for picture in pictures:
                film.append_data(picture)


def showable(frames: ArrayLike) -> np.ndarray:
    """Pictures of any number of channels as grey ones or coloured ones.

    Args:
      frames: uint8 ``[T, height, width, channels]``, or a list of such pictures.

    Returns:
      The same with 1 or 3 channels: of two the first, of four and more the first three, such as the
      colours before a depth, or three of the frames in a stack.

    Raises:
      ValueError: If they are no pictures, or differ in size.
    """
    if isinstance(frames, list):
        shapes = {np.shape(frame) for frame in frames}
        if len(shapes) > 1:
            raise ValueError(f"expected pictures of one size, got {sorted(shapes)}")
    array = np.asarray(frames)
    if array.dtype != np.uint8 or array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"expected uint8 frames [T, height, width, channels], got {array.dtype} {array.shape}"
        )
    return array[..., : 3 if array.shape[-1] >= 3 else 1]


class VideoFolder(Writer):
    """A file for each video: MP4 for episodes, GIF for predictions, which are short and repeat."""

    def __init__(self, folder: str | os.PathLike) -> None:
        """Names the folder.

        Args:
          folder: Folder of the files; made with the first.
        """
        self._folder = pathlib.Path(folder)

    def video(self, env_frames: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Writes ``<env_frames>-<name>``, the name with dashes for slashes."""
        ending = "gif" if name.startswith("openloop/") else "mp4"
        file = f"{env_frames:09d}-{name.replace('/', '-')}.{ending}"
        save_video(self._folder / file, frames, fps)


def beside(videos: np.ndarray, count: int) -> np.ndarray:
    """Lays the first videos of a batch side by side: ``[B, T, H, W, C]`` to ``[T, H, n W, C]``.

    Args:
      videos: uint8 ``[B, T, H, W, C]``.
      count: How many to show at most.
    """
    return np.concatenate(list(videos[:count]), axis=2)


def _enlarge(picture):
    factor = max(1, -(-_SMALLEST_SIDE // max(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _even(picture):
    """Repeats the last row or column where a side is odd: the usual MP4 needs even sides."""
    height, width = picture.shape[:2]
    return np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
