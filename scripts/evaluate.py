"""Plays episodes with a trained agent: ``python scripts/evaluate.py --logdir RUN``."""

from dreamer_tf.apps import commands

if __name__ == "__main__":
    commands.evaluate()
