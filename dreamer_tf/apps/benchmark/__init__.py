"""How fast a preset runs on this machine: the command, its measurements, and counted arithmetic."""
