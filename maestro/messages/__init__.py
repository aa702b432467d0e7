"""The messages between Maestro's processes, and between the gateway and a system: frozen and typed.

Commands are imperative, facts past tense. They travel over the sessions of `maestro.links`, where a tag names the type
of each: nothing that is received can be anything else than one of these.

Imports nothing of Maestro but `maestro.events`.
"""
