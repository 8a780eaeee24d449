"""Draws the papers' figures: ``python scripts/plot.py --figure curves --indir RUNS --out DIR``."""

from dreamer_tf.apps.figures import commands

if __name__ == "__main__":
    commands.plot()
