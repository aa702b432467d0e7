"""The rules: what is judged, held, replayed and ended. Pure code: no I/O, no clock, no randomness, no actor.

`Machine.handle(fact) -> Step` is the whole of it: a fact goes in; what must be saved and what must be done
comes out. The state lives in `state.System`; each flow of the rules has its module:

- `judging`: flow 1, a persist event arrives, waits, is judged, committed or held; the drain
- `deciding`: flow 3, approve, skip, retry, cancel, override
- `replaying`: the run of an approved reprocessing, one replay at a time, and its cascade
- `ending`: how a reprocessing ends, and what follows
- `stages`: which answer a run, and the judging slot, wait for

May import `maestro.events`, `json_text` and `messages`, and nothing else of Maestro.
"""
