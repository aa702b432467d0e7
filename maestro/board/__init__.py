"""The lock board: each system's owner shows its lock in shared memory, where the gateway reads it without asking.

The system's actor stays the only authority; the board only ever short-cuts a question. `docs/lock_board.md` has the
protocol and why it is exact. Imports nothing of Maestro but `settings`, and knows neither actors nor HTTP.
"""
