"""What can be wrong with a config."""


class ConfigError(ValueError):
    """A preset, key or value that the schema does not allow; the message names what would be."""
