"""The cascade actor's service: it keeps each system's reprocessing queue, and grows it as replays impact more."""
