"""Ingress: consumes the broker's queues, hands deliveries to the systems, and settles them as the systems say."""
