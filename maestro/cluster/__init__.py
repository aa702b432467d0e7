"""Which node owns which system: leases, take-over, placement. Pure code: no I/O, no clock, no randomness.

`Membership.handle(fact, at) -> commands` is the whole of it for one node: what happened goes in, with the time of this
node's CLOCK_BOOTTIME; what has to be done comes out. The keeper of the node carries that out on the tables behind
`maestro.store.nodes`, and answers with facts.

- `lease`: for how long a lease is believed, and when it may be broken
- `node`: a node as the others see it
- `placement`: which node a system belongs to
- `facts`, `commands`: all that goes in and comes out
- `membership`: one node's part in it

Imports nothing of Maestro.
"""
