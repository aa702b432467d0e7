"""A small real platform to try Maestro on and to test it against: the sibling services in one process, on real rows.

`sandbox.Sandbox` serves it, `commands` are its command lines, `demo` plays a story on it. The world starts
empty each time: the domain is a fresh SQLite file, everything else is kept in memory.
May import `maestro.broker`, `events`, `settings`, `logs` and `ports`; nothing of the service itself.
"""
