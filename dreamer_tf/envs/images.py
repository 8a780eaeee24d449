"""Pictures as ``[height, width, channels]`` of bytes, in the size that is asked for."""

import logging

import numpy as np

from dreamer_tf.envs.errors import EnvError
from dreamer_tf.specs import Space

logger = logging.getLogger(__name__)

_CHANNELS = (1, 3)


class ImageCodec:
    """Brings images to channels last and to one size.

    Grey images without a channel dimension get one. Channels come first if the first dimension
    is 1 or 3 and the last is neither.
    """

    def __init__(self, key, shape, size):
        """Describes the images.

        Args:
          key: Names the image in messages.
          shape: Two or three dimensions.
          size: Height and width to resize to, or None to keep the image's.
        """
        self._key, self._shape = key, shape
        self._channels_first = (
            len(shape) == 3 and shape[0] in _CHANNELS and shape[-1] not in _CHANNELS
        )
        if len(shape) == 2:
            shape = (*shape, 1)
        elif self._channels_first:
            shape = (*shape[1:], shape[0])
        self._size = tuple(size) if size is not None else shape[:2]
        self._resizes = shape[:2] != self._size
        self.space = Space(np.uint8, (*self._size, shape[2]))
        if self._resizes:
            old, new = ("x".join(map(str, pair)) for pair in (shape[:2], self._size))
            logger.warning("%r: images of %s are resized to %s", key, old, new)

    def encode(self, value):
        """Converts an observation; the dtype is left for the check of the row."""
        value = np.asarray(value)
        if value.shape != self._shape:
            raise EnvError(f"{self._key!r}: expected shape {self._shape}, got {value.shape}")
        if value.ndim == 2:
            value = value[:, :, None]
        elif self._channels_first:
            value = np.moveaxis(value, 0, -1)
        if self._resizes and value.dtype == np.uint8:
            value = resize(value, self._size)
        return np.ascontiguousarray(value)


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
