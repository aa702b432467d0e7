"""One system's process: the rules' engine, who carries out their commands, the repository, and what others may ask.

`open_system` puts it together; `engine` feeds facts to the rules and saves what they say; `dispatcher` gives each
command to its handler. Knows no actor: `maestro.actors` wraps it. May import all below `actors` but `ingress` and
`cascade`.
"""
