"""What all figures share: type, sizes, grids of panels, legends, and saving as PDF and PNG.

A PNG has the numbers that it shows inside, as text, so that a drawn figure can be checked.

Drawn with matplotlib's `Figure` itself, not with ``pyplot``, so that nothing global is changed
and no display is needed.
"""

import json
import math
import pathlib
import zlib

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL.PngImagePlugin import PngInfo

from dreamer_tf.common import replacing

PAGE_WIDTH = 6.75
"""Width of a page of text in inches, two columns."""

CONTROL_END = 1040
"""Upper end of an axis of dm_control's returns, which are at most 1000."""

_STYLE = {
    "font.size": 8,
    "axes.titlesize": 6.8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlepad": 3.5,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.4,
    "patch.linewidth": 0.5,
    "text.parse_math": False,  # A dollar in the name of a task is a dollar.
    "pdf.fonttype": 42,  # TrueType, which conferences ask for
    "savefig.facecolor": "white",
}
_LEGEND_ROW = 0.19  # inches
_MARKERS = 5  # on a curve
_DOTS_PER_INCH = 200


def style():
    """A context in which matplotlib draws as all figures do."""
    return matplotlib.rc_context(_STYLE)


def grid(count, handles, *, columns=None, panel=(1.3, 1.15), share_y=False):
    """A figure with a grid of panels, as wide as the page where there are enough.

    Args:
      count: Number of panels.
      handles: Entries of the legend, for which room is left.
      columns: Panels in a row; None: as many as fit the page.
      panel: Least width of a panel and height in inches.
      share_y: Whether all panels have the same vertical axis.

    Returns:
      `Figure` and the list of ``count`` axes.
    """
    columns = min(count, columns or int(PAGE_WIDTH / panel[0]))
    rows = math.ceil(count / columns)
    # Few panels are wider, though not without end.
    width = min(PAGE_WIDTH, columns * 1.6 * panel[0])
    width = max(width, columns * panel[0], _entry_width(_labels(handles)))
    legend_rows = math.ceil(len(handles) / _legend_columns(width, _labels(handles)))
    height = rows * panel[1] * (1.3 if rows == 1 else 1.0) + 0.35 + legend_rows * _LEGEND_ROW
    figure = Figure(figsize=(width, height), layout="constrained")
    # Between panels there is room for half of the last number below one and of the first below
    # the next.
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.03, wspace=0.09, hspace=0.04)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def single(width, height, handles):
    """A figure with one panel.

    Args:
      width: In inches; more where the legend needs it.
      height: Of the panel in inches; room for the legend is added.
      handles: Entries of the legend.

    Returns:
      `Figure` and its axes.
    """
    width = max(width, _entry_width(_labels(handles)))
    rows = math.ceil(len(handles) / _legend_columns(width, _labels(handles)))
    figure = Figure(figsize=(width, height + rows * _LEGEND_ROW), layout="constrained")
    return figure, figure.subplots()


def row(count, height, width=PAGE_WIDTH):
    """A figure with ``count`` panels side by side that share their vertical axis, no legend.

    Returns:
      `Figure` and the list of axes.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False, sharey=True)[0].tolist()


def pictures(rows, columns, size):
    """A figure with a narrow grid of pictures.

    Args:
      rows: Rows.
      columns: Columns.
      size: Width and height in inches.

    Returns:
      `Figure` and the axes as nested lists ``[rows][columns]``.
    """
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()


def line(axis, xs, ys, look):
    """Draws a curve in the look of its method; returns nothing."""
    every = max(1, math.ceil(len(xs) / _MARKERS))
    axis.plot(
        xs,
        ys,
        color=look.color,
        linestyle=look.dash,
        marker=look.marker,
        markevery=(every // 2, every),  # few, so that they do not hide the line
        markeredgewidth=0,
        label=look.label,
        zorder=3,
        clip_on=False,  # or markers at the edge of the panel are cut in half
    )


def mean_line(axis, seeds, look, spread):
    """Draws the mean of several seeds and what is around it; returns nothing.

    Args:
      axis: The panel.
      seeds: `Seeds`.
      look: Style of the method.
      spread: What is shaded, see `Seeds.around`; ``seeds``: a thin line for each; ``none``.
    """
    line(axis, seeds.xs, seeds.mean, look)
    if spread == "seeds":
        axis.plot(seeds.xs, seeds.ys.T, color=look.color, lw=0.5, alpha=0.5)
    elif spread != "none":
        axis.fill_between(seeds.xs, *seeds.around(spread), color=look.color, alpha=0.18, lw=0)


def level(axis, y, look):
    """Draws a final score as a horizontal line in the look of its method."""
    axis.axhline(y, color=look.color, linestyle=look.level, linewidth=1.0, label=look.label)


def line_handle(look):
    """The entry of a curve in a legend."""
    return Line2D(
        [],
        [],
        color=look.color,
        linestyle=look.dash,
        marker=look.marker,
        markeredgewidth=0,
        label=look.label,
    )


def level_handle(look):
    """The entry of a final score in a legend."""
    return Line2D([], [], color=look.color, linestyle=look.level, linewidth=1.0, label=look.label)


def bar_handle(look):
    """The entry of a method in a legend of bars."""
    return Patch(facecolor=look.color, edgecolor="white", hatch=look.hatch, label=look.label)


def legend(figure, handles):
    """Puts one legend above all panels."""
    columns = _legend_columns(figure.get_figwidth(), _labels(handles))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def text_width(text):
    """Inches that a text takes at most."""
    return len(text) * 0.058


def _labels(handles):
    return [handle.get_label() for handle in handles]


def _entry_width(labels):
    """Inches that the widest entry of a legend takes."""
    return max(map(text_width, labels)) + 0.6


def _legend_columns(width, labels):
    """How many entries of a legend fit beside each other in ``width`` inches."""
    fitting = max(1, min(len(labels), int(width / _entry_width(labels))))
    rows = math.ceil(len(labels) / fitting)
    return math.ceil(len(labels) / rows)


def frames_axis(axis, end):
    """A horizontal axis of environment frames from 0 to ``end``, rounded up to two digits."""
    unit = 10 ** (math.floor(math.log10(end)) - 1)
    axis.set_xlim(0, math.ceil(round(end / unit, 6)) * unit)
    axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    axis.xaxis.set_major_formatter(FuncFormatter(short_number))


def short_number(value, _=None):
    """A number of frames as a tick shows it: 2500000 is 2.5M."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def contents(figure):
    """The numbers that a figure shows, as JSON values.

    Args:
      figure: matplotlib `Figure`.

    Returns:
      List of a dict for each panel: ``title``; ``lines``, each a label, xs and ys; ``bars``, each a
      label, place and size; ``bands``, the corners of shaded areas and whiskers; ``pictures``, the
      shape and CRC-32 of each. Numbers have five digits that count.
    """
    return [
        {
            "title": axis.get_title(),
            "lines": [[line.get_label(), *_numbers(line.get_xydata().T)] for line in axis.lines],
            "bars": [
                [bars.get_label(), *_numbers([b.get_xy(), (b.get_width(), b.get_height())])]
                for bars in axis.containers
                if hasattr(bars, "patches")
                for b in bars.patches
            ],
            "bands": [
                _numbers(path.vertices) for area in axis.collections for path in area.get_paths()
            ],
            "pictures": [
                [list(image.get_array().shape), zlib.crc32(image.get_array().tobytes())]
                for image in axis.images
            ],
        }
        for axis in figure.axes
    ]


def _numbers(rows):
    return [[float(f"{value:.5g}") for value in row] for row in np.asarray(rows, float).tolist()]


def save(figure, folder, name, formats, dpi=_DOTS_PER_INCH):
    """Writes a figure, each file in one step; a PNG with its `contents` as the text ``contents``.

    Args:
      figure: matplotlib `Figure`.
      folder: Folder; made if missing.
      name: File name without ending.
      formats: Endings, such as ``["pdf", "png"]``.
      dpi: Dots per inch of pixel formats.

    Returns:
      List of paths.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending in formats:
        path = folder / f"{name}.{ending}"
        # Without the date the same runs give the same file.
        more = {"metadata": {"CreationDate": None}} if ending == "pdf" else {}
        if ending == "png":
            info = PngInfo()
            info.add_text("contents", json.dumps(contents(figure), separators=(",", ":")), zip=True)
            more = {"pil_kwargs": {"pnginfo": info}}
        with style(), replacing(path, keep_ending=True) as partial:
            figure.savefig(partial, format=ending, dpi=dpi, **more)
        paths.append(path)
    return paths
