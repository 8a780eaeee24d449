"""The folder of a run, and everything that is written into it or shown while it goes on."""
