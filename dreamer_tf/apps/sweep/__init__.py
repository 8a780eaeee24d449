"""Benchmarks of the papers: the grid of tasks and seeds, and running it on this machine.

``benchmarks`` lists them, ``jobs`` turns one into the commands of its runs, ``runner`` runs these
side by side, ``commands`` is the command line. Only the runs themselves load TensorFlow.
"""
