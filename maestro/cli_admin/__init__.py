"""The commands that look at, decide and mend things in a running Maestro, through `maestro.client` only.

Imported when one of them runs. `session` gives each command its connection and its way of talking.
"""
