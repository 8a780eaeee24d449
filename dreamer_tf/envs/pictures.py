"""Pictures, as ``[height, width, channels]`` of bytes in the size that is asked for."""

import logging

import numpy as np

from dreamer_tf.envs.base import describe, to_array
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.specs import Space

logger = logging.getLogger(__name__)

SMALLEST_PICTURE = 16
"""Height and width below which bytes are taken for numbers, such as the codes of objects."""
_SMALL_RANGE = 128  # Half of what bytes hold: darker pictures are still pictures.
# So many pictures without a brighter byte are codes of objects, as MiniGrid's.
_DARK, _DARK_PICTURES = 32, 100


class ImageCodec:
    """Brings images to channels last and to one size.

    Grey images without a channel axis get one. Channels come first where the first axis is small
    and the last is not, as `layout` says; frames stacked on a fourth axis become channels. Bytes of
    a small range, such as masks, are stretched to the whole one.
    """

    def __init__(self, key, box, size):
        """Describes the images.

        Args:
          key: Names the image in messages.
          box: The Box, of two to four dimensions.
          size: Height and width to resize to, or None to keep the image's.
        """
        self._key, self._shape = key, tuple(box.shape)
        self._stretch = _Stretch.of(key, box)
        self._axes, taken = layout(self._shape)
        height, width = (self._shape[axis] for axis in self._axes[:2])
        channels = int(np.prod([self._shape[axis] for axis in self._axes[2:]]))
        self._own = height, width, channels
        self._size = tuple(size) if size is not None else (height, width)
        self._resizes = (height, width) != self._size
        self._low, self._high, self._left = 255, 0, 0 if self._stretch else _DARK_PICTURES
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
        if self._stretch and value.dtype == np.uint8:
            value = self._stretch(value)
        if self._left and value.dtype == np.uint8:
            self._look(value)
        value = value.transpose(self._axes).reshape(self._own)
        if self._resizes and value.dtype == np.uint8:
            return resize(value, self._size)
        return np.array(value, order="C")  # A copy: the environment may reuse its array.

    def _look(self, value):
        """Says once where the first pictures hold codes rather than light."""
        self._low, self._high = min(self._low, value.min()), max(self._high, value.max())
        self._left = self._left - 1 if self._high <= _DARK else 0
        if not self._left and self._low < self._high <= _DARK:
            logger.warning(
                "%r: bytes seen %d to %d: codes rather than a picture; they are %sdivided by 255; "
                "declare another dtype (int16) to get a vector",
                *(self._key, self._low, self._high),
                "blended by resizing and " if self._resizes else "",
            )


class _Stretch:
    """Masks, labels and other bytes of a small range as bytes from 0 to 255.

    Agents divide bytes by 255: of 0 and 1 they would see next to nothing. It comes before resizing,
    which rounds to whole bytes.
    """

    def __init__(self, key, low, high, is_small):
        """Describes the bytes.

        Args:
          key: Names the image in messages.
          low: Smallest value of each element, an int array.
          high: Largest value, likewise.
          is_small: Which elements are stretched, bool; others stay as they are.
        """
        self._key = key
        self._range = low[is_small].min(), high[is_small].max()
        self._low = np.where(is_small, low, 0).astype(np.uint8)
        self._high = np.where(is_small, high, 255).astype(np.uint8)
        span = np.where(is_small, high - low, 255)
        self._scale = (255 / span).astype(np.float32)
        logger.warning(
            "%r: bytes from %d to %d are stretched to 0 to 255, as images have them; codes, as of "
            "labels, are better shown as a channel of 0 and 1 for each",
            *(key, *self._range),
        )

    @classmethod
    def of(cls, key, box):
        """What stretches the values of a Box; None: nothing has to."""
        low, high = (np.asarray(bound, np.int64) for bound in (box.low, box.high))
        is_small = (high > low) & (high - low < _SMALL_RANGE)
        return cls(key, low, high, is_small) if is_small.any() else None

    def __call__(self, value):
        """Stretches bytes.

        Raises:
          EnvError: If they leave the declared range: there is no telling what they mean.
        """
        if (value < self._low).any() or (value > self._high).any():
            low, high = self._range
            raise EnvError(
                f"{self._key!r}: expected bytes from {low} to {high}, as the space declares, which "
                f"are stretched to 0 to 255; got {value.min()} to {value.max()}. Declare what is "
                f"returned: 0 to 255 if these are the bytes of a picture"
            )
        return np.rint((value - self._low) * self._scale).astype(np.uint8)


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
    if len(shape) == 4 and 2 * max(shape[2:]) <= min(shape[:2]):
        channels, frames = (2, 3) if shape[2] in (1, 3) else (3, 2)
        taken = f": {shape[frames]} frames of {shape[channels]} channels, stacked last"
        return (0, 1, frames, channels), taken
    *frames, first, middle, last = range(len(shape))
    is_first = shape[first] < shape[last] and (
        2 * shape[first] <= shape[middle] or shape[middle] == shape[last]
    )
    if is_first and shape[last] > 4:
        axes, taken = (middle, last, *frames, first), ", which come first"
    else:
        axes, taken = (first, middle, *frames, last), ""
    if frames:
        taken = f": {shape[0]} frames of {shape[axes[-1]]} channels{taken}"
    return axes, taken


def drawn(value):
    """What ``render`` returned, as bytes of ``[height, width, channels]``.

    Raises:
      EnvError: If it is no picture.
    """
    picture = to_array("render()", value)
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4):
        raise EnvError(f"render(): expected a picture [height, width, 3], got {describe(picture)}")
    if picture.dtype != np.uint8 and not _holds_bytes(picture):
        raise EnvError(
            f"render(): expected a picture of bytes from 0 to 255, got {picture.dtype}"
            f"{_span(picture)}; multiply numbers from 0 to 1 by 255, and return uint8"
        )
    return picture.astype(np.uint8)  # A copy: the environment may reuse its array.


def _holds_bytes(array):
    return array.dtype.kind in "iu" and not ((array < 0) | (array > 255)).any()


def _span(array):
    if not array.size or array.dtype.kind not in "biuf":
        return ""
    return f" from {array.min()} to {array.max()}"


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
