"""One self-contained HTML page about a run, or about several side by side.

``commands`` is the command line, ``document`` puts a page together. ``metrics_file`` and
``run_folder`` read; ``curves``, ``summary``, ``films`` and ``tables`` make of it what the page
shows; ``page/`` holds the template, its style and its program, and uPlot, which draws the curves.
TensorFlow is never loaded.
"""
