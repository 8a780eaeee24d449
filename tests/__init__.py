"""Tests; helpers that several of them use are imported as ``tests.<module>``."""
