"""The error that ends a figure with a message instead of a traceback."""


class FigureError(ValueError):
    """The runs, score files or options do not make the figure that was asked for."""
