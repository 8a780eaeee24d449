"""``python -m dreamer_tf.apps.train`` is the command ``train``."""

from dreamer_tf.apps import commands

if __name__ == "__main__":
    commands.train()
