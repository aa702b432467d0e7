"""The gateways of a cluster's nodes as one: each answers about every system, by asking the node that owns it.

    gateway ──ask──> ClusterClient ──own system──────> the node's own actor client
                          │
                          ├──of another node────> NodeDialer ══session══> NodeListener ──> that node's actor client
                          └──lock check─────────> SystemLookup ──> PostgreSQL

`maestro.http` knows nothing of it: `ClusterClient` is an `ActorClient` like the node's own.
"""
