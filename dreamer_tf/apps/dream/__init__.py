"""Stepping inside a world model: a page of this machine's own, from which a person dreams along.

``commands`` is the command line. ``compiled`` holds the model's graphs, ``episodes`` reads what was
recorded, ``replayed`` is what the model makes of it, ``dream`` is one dream from a moment on, and
``studio`` holds all of them together, without knowing of the web. ``server`` answers requests,
``checks`` refuses bad ones, ``encoding`` makes JSON of arrays; ``page/`` is what the browser loads,
with the style and the charts of reports.
"""
