"""Videos of a run as text that stands in the page itself."""

import base64
import dataclasses
import math
import pathlib
import re

import imageio.v3 as imageio
import numpy as np
from PIL import Image, ImageSequence

_FOLDER = "videos"
_NAME = re.compile(r"(\d+)-(.+)")  # as the training loop calls them: 000060000-eval.mp4
_SUFFIXES = (".mp4", ".gif")
_LARGEST = 24 << 20  # bytes of one video
_CAPTIONS = {"eval": "Evaluation episode"}
_PREDICTION = "openloop-"
_MILLISECONDS = 100  # Of a picture that does not say how long it is shown.


@dataclasses.dataclass(frozen=True)
class Film:
    """A video in the page.

    Attributes:
      kind: What it shows: ``eval``, ``openloop-<key>``, or the name of another file.
      caption: The same for readers.
      env_frames: Frames at which it was taken; None if its name does not tell.
      source: ``data:`` address of an MP4 video.
    """

    kind: str
    caption: str
    env_frames: int | None
    source: str

    @property
    def is_prediction(self):
        """Whether it is an open-loop prediction of the model."""
        return self.kind.startswith(_PREDICTION)


def films(folder, most):
    """Reads videos of a run, spread over the training.

    Args:
      folder: Run folder.
      most: How many of each kind; the newest is always among them.

    Returns:
      List of `Film`, newest first within a kind, and notes about those that cannot be shown.
    """
    by_kind = {}
    for path in sorted((pathlib.Path(folder) / _FOLDER).glob("*")):
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
            name = _NAME.fullmatch(path.stem)
            frames, kind = (int(name[1]), name[2]) if name else (None, path.stem)
            by_kind.setdefault(kind, []).append((frames, path))
    shown, notes = [], []
    for kind in sorted(by_kind):
        entries = by_kind[kind]
        for frames, path in reversed([entries[index] for index in spread(len(entries), most)]):
            try:
                source = _embed(path)
            except (OSError, EOFError, ValueError, SyntaxError) as error:  # Pillow raises all
                notes.append(f"{path.name} cannot be shown: {error}")
            else:
                shown.append(Film(kind, _caption(kind), frames, source))
    return shown, notes


def newest_film(folder):
    """The path of the newest film of an evaluation; None without any."""
    return max((pathlib.Path(folder) / _FOLDER).glob("*-eval.mp4"), default=None)


def spread(count, most):
    """Rising indices of at most ``most`` of ``count`` things, evenly, the last one included."""
    if most < 1:
        return []
    first = 0 if most > 1 else count - 1
    return sorted(set(np.linspace(first, count - 1, min(most, count)).round().astype(int).tolist()))


def _caption(kind):
    if kind.startswith(_PREDICTION):
        return f"Open-loop prediction of {kind.removeprefix(_PREDICTION)}"
    return _CAPTIONS.get(kind, kind)


def _embed(path):
    """The ``data:`` address of a video. A GIF becomes MP4, which has controls and is smaller."""
    size = path.stat().st_size
    if not 0 < size <= _LARGEST:
        raise ValueError(f"its size is {size:,} bytes, expected 1 to {_LARGEST:,}")
    content = path.read_bytes() if path.suffix.lower() == ".mp4" else _mp4_of_gif(path)
    return "data:video/mp4;base64," + base64.b64encode(content).decode("ascii")


def _mp4_of_gif(path):
    # By name: for a damaged file imageio would try other readers, whose errors say less.
    frames = imageio.imread(path, plugin="pillow", mode="RGB")
    with Image.open(path) as gif:  # In one pass: to seek a picture is to read all before it.
        pictures = ImageSequence.Iterator(gif)
        shown = [picture.info.get("duration") or _MILLISECONDS for picture in pictures]
    # A picture that does not change is there once, and shown for longer.
    milliseconds = math.gcd(*map(round, shown))
    frames = np.repeat(frames, [round(each) // milliseconds for each in shown], axis=0)
    height, width = frames.shape[1:3]  # The codec needs even sides.
    frames = np.pad(frames, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], mode="edge")
    return imageio.imwrite(
        "<bytes>",
        frames,
        extension=".mp4",
        plugin="FFMPEG",
        fps=1000 / milliseconds,
        codec="libx264",
        quality=8,
        macro_block_size=2,
        ffmpeg_log_level="error",
    )
