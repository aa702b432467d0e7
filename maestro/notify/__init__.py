"""Notices: people are told what waits for them, where they are.

`plan` decides, without I/O, what is due by which way; `texts` says it in words, `forms` puts it into the form of each
way, `ways` send it; `notifier` looks, keeps what was told, and has it sent.
"""
