"""``python -m dreamer_tf.training`` is the command ``train``."""

from dreamer_tf.training import commands

if __name__ == "__main__":
    commands.train()
