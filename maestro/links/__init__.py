"""Reliable links between actors over lossy messages, and what an actor and its service expect of each other."""
