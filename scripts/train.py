"""Trains an agent: ``python scripts/train.py --configs dmc cpu --task dmc_walker_walk``."""

from dreamer_tf.apps import commands

if __name__ == "__main__":
    commands.train()
