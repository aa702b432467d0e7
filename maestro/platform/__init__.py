"""The sibling services over HTTP: one typed client per sibling, retries and error kinds in one place.

May import `maestro.events`, `maestro.settings`, `maestro.logs`, and the value types of `maestro.reprocessing`.
"""
