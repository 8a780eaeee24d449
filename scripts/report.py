"""Writes the HTML report of runs: ``python scripts/report.py RUN ...``."""

from dreamer_tf.apps.report import commands

if __name__ == "__main__":
    commands.report()
