"""Pictures as ``[height, width, channels]`` of bytes, in the size that is asked for."""

import logging

import numpy as np

from dreamer_tf.envs.structure import to_array
from dreamer_tf.specs import Space

logger = logging.getLogger(__name__)

SMALLEST_PICTURE = 16
"""Height and width below which bytes are taken for numbers, such as the codes of objects."""


class ImageCodec:
    """Brings images to channels last and to one size.

    Grey images without a channel axis get one. Channels come first where the first axis is small
    and the last is not, as `layout` says; frames stacked on a fourth axis become channels.
    """

    def __init__(self, key, shape, size):
        """Describes the images.

        Args:
          key: Names the image in messages.
          shape: Two to four dimensions.
          size: Height and width to resize to, or None to keep the image's.
        """
        self._key, self._shape = key, tuple(shape)
        self._axes, taken = layout(self._shape)
        height, width = (self._shape[axis] for axis in self._axes[:2])
        channels = int(np.prod([self._shape[axis] for axis in self._axes[2:]]))
        self._own = height, width, channels
        self._size = tuple(size) if size is not None else (height, width)
        self._resizes = (height, width) != self._size
        self.space = Space(np.uint8, (*self._size, channels))
        if taken or channels not in (1, 3):
            logger.warning(
                "%r: the shape %s is taken for an image of %dx%d with %d channels%s",
                *(key, self._shape, height, width, channels, taken),
            )
        if self._resizes:
            old, new = ("x".join(map(str, pair)) for pair in ((height, width), self._size))
            logger.warning("%r: images of %s are resized to %s", key, old, new)

    def encode(self, value):
        """Converts an observation; the dtype is left for the check of the row."""
        value = to_array(self._key, value, self._shape)
        value = value.transpose(self._axes).reshape(self._own)
        if self._resizes and value.dtype == np.uint8:
            return resize(value, self._size)
        return np.array(value, order="C")  # A copy: the environment may reuse its array.


def is_picture(space, size):
    """Whether a Box is used as an image.

    Args:
      space: A Box.
      size: Height and width that images get; None: they keep theirs, however small.
    """
    if np.dtype(space.dtype or object) != np.uint8 or len(space.shape) not in (2, 3, 4):
        return False
    sides = [space.shape[axis] for axis in layout(tuple(space.shape))[0][:2]]
    return 0 not in space.shape and (size is None or min(sides) >= SMALLEST_PICTURE)


def layout(shape):
    """Which axis of an image is what.

    Args:
      shape: Two to four sizes.

    Returns:
      The axes in the order height, width, channels, those of stacked frames before the channels';
      and what was decided, as text for a notice: empty where nothing was to decide.
    """
    if len(shape) == 2:
        return (0, 1), ""
    *frames, first, middle, last = range(len(shape))
    is_first = shape[first] < shape[last] and 2 * shape[first] <= shape[middle]
    if is_first and shape[last] > 4:
        axes, taken = (middle, last, *frames, first), ", which come first"
    else:
        axes, taken = (first, middle, *frames, last), ""
    if frames:
        taken = f": {shape[0]} frames of {shape[axes[-1]]} channels{taken}"
    return axes, taken


def resize(image, size):
    """Resizes an image, each channel by itself, with area-aware linear interpolation.

    Args:
      image: uint8 of ``[height, width, channels]``.
      size: New height and width.
    """
    from PIL import Image

    height, width = size
    channels = [
        Image.fromarray(np.ascontiguousarray(image[:, :, channel])).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for channel in range(image.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], -1)
