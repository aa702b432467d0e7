"""The gateway: what Maestro serves over HTTP, and the protocol it needs of the actors.

It reaches the actors through `actor_client.ActorClient` only. Of the rules and the stores it may import plain values;
`docs/architecture.md` names them.
"""
