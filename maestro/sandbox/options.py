"""What the command lines name before anything else is imported: `maestro --help` must answer at once."""

from enum import StrEnum
from typing import Final

#: The system of the story: "cotações", market quotes.
SYSTEM: Final = "cotacoes"


class BrokerKind(StrEnum):
    """The two brokers."""

    EMBEDDED = "embedded"
    RABBITMQ = "rabbitmq"
