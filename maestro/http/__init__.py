"""The gateway: what Maestro serves over HTTP, and the protocol it needs of the actors.

May import `maestro.reprocessing`, `messages`, `events`, `settings` and `logs`; everything else reaches it
through `bridge.Bridge`.
"""
