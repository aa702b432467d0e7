"""The settings (`model`), filled from file and environment (`loading`), and what is wrong with them.

Later wins: defaults, the TOML file, the platform's own environment variables (RABBITMQ_HOST …), MAESTRO_*.
Imports nothing else of Maestro but `events` and `faultpoints`. Nothing is imported here: the actors have settings that
others loaded, and what loads them takes megabytes.
"""
