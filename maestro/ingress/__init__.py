"""Ingress: consumes the broker's queues, hands deliveries to the systems, and settles them as the systems say.

It judges nothing and looks into no event but for its system. May import `broker`, `store`, `links` and below.
"""
