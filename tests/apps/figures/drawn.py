"""Curves to draw, and what stands in a figure that was drawn."""

import numpy as np
from matplotlib.colors import to_hex

from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.scores import Curve, FinalScore

XS = np.arange(10.0, 101, 10)


def curve(task="dmc_walker_walk", method="dreamer", seed=0, ys=5 * XS, xs=XS, settings=None):
    return Curve(task, method, str(seed), xs, np.asarray(ys), "file.json", settings or {})


def final(method, score, task="dmc_walker_walk"):
    return FinalScore(task, method, score, "file.json")


def panels(drawing):
    return {axis.get_title(): axis for axis in drawing.figure.axes}


def drawn_lines(axis):
    """Curves by colour, and the heights of horizontal lines by colour."""
    drawn = [line for line in axis.get_lines() if line.get_linestyle() != "None"]
    lines = [line for line in drawn if len(line.get_xdata()) > 2]
    levels = [line for line in drawn if len(line.get_xdata()) == 2]
    return {to_hex(line.get_color()).upper(): line for line in lines}, {
        to_hex(line.get_color()).upper(): line.get_ydata()[0] for line in levels
    }


def color(method):
    return styles([method])[method].color.upper()


def swept(values, key="dreamer.imag_horizon"):
    return tuple(
        curve(seed=seed, ys=np.full(10, 10.0 * value + seed), settings={key: value})
        for value in values
        for seed in (0, 2)
    )
