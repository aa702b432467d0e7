"""Metrics and traces: what each process counts, every metric's definition, and spans made of the rules' facts.

Does no I/O on a hot path. May import `settings`, `logs` and `rules`.
"""
