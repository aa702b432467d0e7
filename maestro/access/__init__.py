"""Who may do what: roles, tokens, identities of people, limits, and the record of what was decided.

May import `maestro.settings`, `logs` and `store`.
"""
