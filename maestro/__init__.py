"""Maestro: holds, decides and replays what new data would make wrong."""

__version__ = "0.1.0"
