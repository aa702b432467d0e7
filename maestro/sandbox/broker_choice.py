"""Where the sandbox finds the broker: what is not given is as Maestro's own configuration has it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from maestro.sandbox.options import BrokerKind
from maestro.settings.environment import maestro_layer, platform_layer
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings


class NoBroker(ValueError):  # noqa: N818 - there is none
    """RabbitMQ is asked for and nothing says where it is."""


def amqp_url(environ: Mapping[str, str]) -> str:
    """Return MAESTRO_BROKER__URL, else the URL that RABBITMQ_HOST and its like make. Raises `NoBroker`."""
    if url := _url(environ):
        return url
    raise NoBroker("where is RabbitMQ? Set MAESTRO_BROKER__URL, or RABBITMQ_HOST and its like")


def broker_settings(
    kind: BrokerKind | None, folder: Path | None, environ: Mapping[str, str], configured: Callable[[], Settings]
) -> BrokerSettings:
    """Return the settings of a broker; `folder` is the embedded one's.

    What is None is as Maestro's configuration has it, which `configured` reads: it is only called for that.

    Raises:
        NoBroker: RabbitMQ is asked for and nothing says where it is.
        SettingsError: the configuration is wrong.
    """
    if kind is BrokerKind.RABBITMQ and (url := _url(environ)):
        return BrokerSettings(kind="rabbitmq", url=SecretStr(url))
    if kind is BrokerKind.EMBEDDED and folder is not None:
        return BrokerSettings(kind="embedded", embedded_dir=str(folder))
    settings = configured()
    if kind is None and folder is None and settings.broker.kind == "rabbitmq":
        kind = BrokerKind.RABBITMQ
    if kind is BrokerKind.RABBITMQ:
        url = settings.broker.url.get_secret_value() or amqp_url(environ)
        return BrokerSettings(kind="rabbitmq", url=SecretStr(url))
    folder = folder or settings.broker.embedded_folder(settings.data_dir)
    return BrokerSettings(kind="embedded", embedded_dir=str(folder))


def _url(environ: Mapping[str, str]) -> str:
    """Return the URL of RabbitMQ that the environment says; empty: none."""
    values = maestro_layer(environ)[0].over(platform_layer(environ)).values
    return str(values.get("broker", {}).get("url", ""))
