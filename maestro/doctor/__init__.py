"""`maestro doctor`: looks at an installation from outside, changes nothing, and names the command that mends.

One file for each thing that is looked at. Works whether Maestro runs or not. `docs/architecture.md` says what it
may import.
"""
