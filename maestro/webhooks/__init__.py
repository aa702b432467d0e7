"""Webhooks: one worker a URL reads the stored histories and sends what it finds, in order and signed."""
