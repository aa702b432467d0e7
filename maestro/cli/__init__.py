"""The command line. `main` lists the commands; a command imports what it needs when it runs.

The commands that look at, decide and mend things in a running Maestro go through `maestro.client` only: `session` gives
each of them its connection and its way of talking.
"""
