"""Which broker the sandbox publishes on, from the same environment variables that Maestro reads."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from maestro.sandbox.options import BrokerKind
from maestro.settings.model import BrokerSettings

_VHOST = "plataforma_v1.0"


class NoBroker(ValueError):  # noqa: N818 - there is none
    """RabbitMQ is asked for and nothing says where it is."""


def amqp_url(environ: Mapping[str, str]) -> str:
    """Return MAESTRO_BROKER__URL, else the URL that RABBITMQ_HOST|PORT|USERNAME|PASSWORD make. Raises `NoBroker`."""
    if url := environ.get("MAESTRO_BROKER__URL"):
        return url
    host = environ.get("RABBITMQ_HOST")
    if not host:
        raise NoBroker("where is RabbitMQ? Set MAESTRO_BROKER__URL, or RABBITMQ_HOST and its like")
    user, password = (quote(environ.get(f"RABBITMQ_{part}", "guest"), safe="") for part in ("USERNAME", "PASSWORD"))
    return f"amqp://{user}:{password}@{host}:{environ.get('RABBITMQ_PORT', '5672')}/{quote(_VHOST, safe='')}"


def broker_settings(kind: BrokerKind, folder: Path, environ: Mapping[str, str]) -> BrokerSettings:
    """Return the settings of a broker; `folder` is the embedded one's. Raises `NoBroker`."""
    if kind is BrokerKind.EMBEDDED:
        return BrokerSettings(kind="embedded", embedded_dir=str(folder))
    return BrokerSettings(kind="rabbitmq", url=SecretStr(amqp_url(environ)))
