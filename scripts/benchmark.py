"""Measures how fast a preset runs: ``python scripts/benchmark.py --configs dmc``."""

from dreamer_tf.apps.benchmark import commands

if __name__ == "__main__":
    commands.benchmark()
