"""Runs a paper's benchmark: ``python scripts/sweep.py --benchmark dmc20 --logdir runs/dmc20``."""

from dreamer_tf.apps.sweep import commands

if __name__ == "__main__":
    commands.sweep()
