"""What the command lines name before anything else is imported: `maestro --help` must answer at once."""

from enum import StrEnum
from typing import Final

#: The system of the story: "cotações", market quotes.
SYSTEM: Final = "cotacoes"


class EventManagerKind(StrEnum):
    """The two generations of the platform's Event Manager."""

    Y2018 = "2018"
    Y2020 = "2020"


class BrokerKind(StrEnum):
    """The two brokers."""

    EMBEDDED = "embedded"
    RABBITMQ = "rabbitmq"
