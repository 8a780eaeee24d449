"""Writes a trained policy as a SavedModel: ``python scripts/export.py --logdir RUN --out DIR``."""

from dreamer_tf.apps import commands

if __name__ == "__main__":
    commands.export()
