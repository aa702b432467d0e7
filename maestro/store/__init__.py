"""A system's durable truth: TinyDB's document API over SQLite, one file per system, one owner.

May import `maestro.events`; knows nothing of what the rows mean.
"""
