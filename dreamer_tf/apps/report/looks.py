"""How runs look on a page: their algorithm's colour of every figure, and dashes to tell runs apart.

Colours of lines on white are too dark for a dark page; there they are mixed with white, which keeps
their hue, until they stand out.
"""

import collections
import dataclasses

from dreamer_tf.apps.figures.palette import DASHES, SOLID, styles

LINE_WIDTH = 2
DARK_PAGE = "#14171c"
_CONTRAST = 4.5  # what the Web Content Accessibility Guidelines ask for of text


@dataclasses.dataclass(frozen=True)
class Look:
    """How a run's lines are drawn.

    Attributes:
      light: Colour on a light page, ``#rrggbb``.
      dark: Colour on a dark page.
      dash: Lengths of dashes and gaps in pixels; empty: a solid line.
    """

    light: str
    dark: str
    dash: tuple[float, ...]


def looks(agents):
    """The looks of runs, by their agents in the order of the runs.

    Returns:
      List of `Look`. Runs of one agent share its colour and differ in their dashes, as long as
      there are any.
    """
    style = styles(agents)
    seen = collections.Counter()
    chosen = []
    for agent in agents:
        own = [style[agent].dash, *(dash for dash in DASHES if dash != style[agent].dash)]
        dash = own[seen[agent] % len(own)]
        seen[agent] += 1
        color = style[agent].color
        chosen.append(Look(color, on_dark(color), _pixels(dash)))
    return chosen


def on_dark(color):
    """A colour mixed with as much white as it needs to stand out on the dark page."""
    for percent in range(0, 101, 5):
        mixed = _mix(color, percent / 100)
        if contrast(mixed, DARK_PAGE) >= _CONTRAST:
            return mixed
    raise ValueError(f"white does not stand out on {DARK_PAGE}")


def contrast(first, second):
    """Contrast ratio of two colours ``#rrggbb``, 1 to 21, as the WCAG defines it."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _pixels(dash):
    """A dash of matplotlib, in units of the line's width, as pixels."""
    return () if dash == SOLID else tuple(LINE_WIDTH * length for length in dash[1])


def _channels(color):
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]


def _mix(color, share):
    mixed = [round(value + share * (255 - value)) for value in _channels(color)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _luminance(color):
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
