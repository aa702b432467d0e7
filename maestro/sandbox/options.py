"""What the command lines name before anything else is imported: `maestro --help` must answer at once."""

from enum import StrEnum
from typing import Final

#: The system of the first story: "cotações", market quotes.
SYSTEM: Final = "cotacoes"
#: The system of the second story: "medição", meter readings.
METERS_SYSTEM: Final = "medicao"


class EventManagerKind(StrEnum):
    """The two generations of the platform's Event Manager."""

    Y2018 = "2018"
    Y2020 = "2020"


class BrokerKind(StrEnum):
    """The two brokers."""

    EMBEDDED = "embedded"
    RABBITMQ = "rabbitmq"


class StoryName(StrEnum):
    """The two stories."""

    QUOTES = "quotes"
    METERS = "meters"
