"""Trained policies as files that run without this package.

Below the agents: it writes what an agent hands over, and knows none of them. Its errors can be
imported without TensorFlow.
"""
