"""The actors: thin shells that carry messages, their supervisor, and the main process's way to them.

May import everything below it (`maestro.system`, `ingress`, `cascade`, `links`, `board`, ...), not `maestro.http`.
"""
