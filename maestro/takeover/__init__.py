"""Takes over what another Maestro left: its documents in Process Memory, and its messages on the broker.

`documents` is pure: what was read becomes a document of ours. `gathering` reads, `importing` writes the
systems' stores. May import `system`, `ingress` and below.
"""
