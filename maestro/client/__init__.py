"""A small client of Maestro's own HTTP API: what tools and the command line call, and nothing else knows its paths.

Standard library and msgspec only, so that a command answers at once. Imports nothing else of Maestro but
`statuses`.
"""
