"""The story that `maestro demo` plays on the sandbox, and the check of its end against a from-scratch computation.

`plan` says what will happen, `stage` starts the processes, `story` plays, `show` tells of it, `truth` judges it.
Everything speaks HTTP to Maestro and the sandbox, as the platform's own clients do.
"""
