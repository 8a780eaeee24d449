"""Steps inside the world model of a run: ``python scripts/dream.py RUN``."""

from dreamer_tf.apps.dream import commands

if __name__ == "__main__":
    commands.dream()
