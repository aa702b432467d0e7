"""The gateway: what Maestro serves over HTTP, and the protocol it needs of the actors.

May import `maestro.rules`, `messages`, `events`, `settings`, `logs` and, for `/metrics`, the plain values of
`maestro.telemetry.metrics` and `catalogue`; everything else reaches it
through `actor_client.ActorClient`.
"""
