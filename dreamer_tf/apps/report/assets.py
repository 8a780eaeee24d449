"""The files that the page is made of; other pages of this project look alike by using them."""

import importlib.resources


def page_file(name):
    """The text of a file in ``page/``, such as ``report.css`` or ``vendor/uPlot.min.css``."""
    folder = importlib.resources.files("dreamer_tf.apps.report") / "page"
    return folder.joinpath(name).read_text(encoding="utf-8")
