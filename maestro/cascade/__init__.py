"""The cascade actor's service: it keeps each system's reprocessing queue, and grows it as replays impact more.

Knows no system's state: it takes orders over a link. May import `broker`, `links` and below.
"""
