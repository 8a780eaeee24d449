"""Measures how fast a preset runs: ``python scripts/benchmark.py --configs dmc``."""

from dreamer_tf.training import benchmark

if __name__ == "__main__":
    benchmark.main()
