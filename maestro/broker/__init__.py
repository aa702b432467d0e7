"""Durable queues: the topology the platform shares, RabbitMQ through pika, and the embedded broker.

Both brokers implement `maestro.broker.base.Broker` and pass the same contract tests.
May import `maestro.settings`, `logs` and `faultpoints`.
"""

from pathlib import Path

from maestro.broker.base import Broker
from maestro.broker.embedded import EmbeddedBroker
from maestro.broker.rabbitmq import RabbitMQBroker
from maestro.settings.servers import BrokerSettings

__all__ = ["open_broker"]


def open_broker(settings: BrokerSettings, data_dir: Path) -> Broker:
    """Return the broker that the settings name, not started yet.

    Raises:
        BrokerError: the URL of RabbitMQ is none.
    """
    if settings.shared:
        return RabbitMQBroker(settings)
    return EmbeddedBroker(settings.embedded_folder(data_dir), settings)
