"""Metrics and traces: what is counted, and how it is told."""
