"""The actors: thin shells that carry messages, their supervisor, and the main process's way to them.

May import everything below it (`maestro.runtime`, `broker`, `platform`, `store`, ...), not `maestro.http`.
"""
