"""Durable queues: the topology the platform shares, RabbitMQ through pika, and the embedded broker.

Both brokers implement `maestro.broker.base.Broker` and pass the same contract tests.
May import `maestro.events`, `maestro.settings`, `maestro.logs`; nothing above.
"""
