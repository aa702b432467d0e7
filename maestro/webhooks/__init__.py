"""Webhooks: one worker a URL reads the stored histories and sends what it finds, in order and signed.

The rules know nothing of it. May import `rules`, `store`, `messages`, `settings` and `logs`.
"""
