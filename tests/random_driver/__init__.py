"""A second opinion on the rules: a random walk over what may happen next, with a model and checks of its own.

It drives the real machine and repository, and shares neither checks nor models with `tests/simulation`: there is no
clock of events but a bag of things that may happen, one of which is picked at each step.
"""
