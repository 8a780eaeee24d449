"""What people start: the commands, the Python API, and everything made of finished runs.

Nothing below imports this room. It is where a run gets its report, which training knows nothing of.
"""
