"""The settings of the servers that Maestro rests on, RabbitMQ and PostgreSQL, and of a cluster on both."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from maestro.settings.base import Count, Seconds, Section, together, webhook_url

#: Hosts that are this machine.
_LOOPBACK: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


class BrokerSettings(Section):
    """Where persist events come from."""

    #: "embedded", or "rabbitmq" (implied by `url` or RABBITMQ_HOST).
    kind: Literal["embedded", "rabbitmq"] = "embedded"
    #: AMQP URL, for instance amqp://user:password@host:5672/plataforma_v1.0; of a cluster several, with blanks between
    #: them: they are tried in turn.
    url: SecretStr = SecretStr("")
    #: Folder of the embedded broker's queues; empty: `<data_dir>/broker`.
    embedded_dir: str = ""
    #: Unacknowledged deliveries per queue.
    prefetch: Annotated[int, Field(ge=1, le=65535)] = 256
    #: Seconds to wait for a confirm, reconnects included.
    publish_timeout: Seconds = 60.0
    #: Seconds to wait for any other answer of the broker.
    operation_timeout: Seconds = 10.0
    #: Seconds between heartbeats of the AMQP connection; unless it is set, 2 in a cluster (`cluster.name`).
    heartbeat: Annotated[int, Field(ge=1)] = 20
    #: Longest pause between two attempts to reconnect, in seconds.
    reconnect_max: Seconds = 5.0
    #: Seconds after a lost connection in which the broker must deliver again what was out, before what is younger is
    #: taken in its place. A RabbitMQ cluster needs its `net_ticktime`, and a quarter, to take a node that stands still
    #: for gone.
    returned_within: Seconds = 30.0
    #: Seconds between two renewals of the message that says whose the events of the vhost are: well below RabbitMQ's
    #: consumer time-out (30 min).
    owner_renewal: Annotated[float, Field(gt=0, le=1500)] = 600.0
    #: A larger message is an error, in bytes.
    max_event_bytes: Count = 10 * 1024 * 1024

    @property
    def shared(self) -> bool:
        """Whether it is RabbitMQ, which other installations may use as well."""
        return self.kind == "rabbitmq" or bool(self.url.get_secret_value())

    @property
    def urls(self) -> list[str]:
        """The URLs of RabbitMQ's nodes, in the order in which they are tried."""
        return self.url.get_secret_value().split()

    @property
    def former_within(self) -> float:
        """Seconds in which RabbitMQ takes a consumer for gone whose process, or connection, is."""
        return max(self.returned_within, 3.0 * self.heartbeat)

    def embedded_folder(self, data_dir: Path) -> Path:
        """Return the folder of the embedded broker's queues."""
        return Path(self.embedded_dir or data_dir / "broker")

    @field_validator("url")
    @classmethod
    def _names_a_broker(cls, value: SecretStr) -> SecretStr:
        for text in value.get_secret_value().split():
            if not text.startswith(("amqp://", "amqps://")):
                raise ValueError("must be amqp://user:password@host:port/vhost, or amqps://…")
            try:
                port = urlsplit(text).port
            except ValueError:
                port = 0
            if port == 0:
                raise ValueError("must have a port of 1 to 65535, or none")
        if len({urlsplit(text).path for text in value.get_secret_value().split()}) > 1:
            raise ValueError("several must name the same vhost: they are nodes of one RabbitMQ cluster")
        return value


class StoreSettings(Section):
    """Where the systems' state is kept."""

    #: postgresql://user:password@host:5432/database?sslmode=verify-full; empty: a file per system in `data_dir`.
    url: SecretStr = SecretStr("")
    #: Seconds that PostgreSQL has for an answer; then the connection is given up, and another one asks what was done.
    timeout: Seconds = 10.0

    @field_validator("url")
    @classmethod
    def _names_a_database(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and (problem := database_problem(text)):
            raise ValueError(problem)
        return value


def database_problem(url: str) -> str:
    """Return what is wrong with the URL of a PostgreSQL database; empty: nothing. The URL is not in it."""
    if not url.startswith(("postgresql://", "postgres://")):
        return "must be postgresql://user:password@host:port/database?sslmode=verify-full"
    if find_spec("psycopg") is None:
        return "needs psycopg: pip install '.[postgresql]' in the folder of Maestro's sources"
    from psycopg import ProgrammingError  # noqa: PLC0415 - only where it is used
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - as above

    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        return "is no URL of a PostgreSQL database; special characters are percent-encoded"
    if not parts.get("dbname"):
        return "must name the database: postgresql://user:password@host:port/database"
    hosts = str(parts.get("host") or parts.get("hostaddr") or "").split(",")
    away = [host for host in hosts if host and not host.startswith("/") and not _LOOPBACK.fullmatch(host)]
    if away and "sslmode" not in parts:
        return f"must say how {away[0]} is reached: ?sslmode=verify-full, or sslmode=disable in a network of your own"
    return ""


class ClusterSettings(Section):
    """This node's part in a cluster: several Maestros on one PostgreSQL and one RabbitMQ (docs/cluster.md)."""

    #: What the cluster is called, the same on all of its nodes; empty: this Maestro is alone.
    name: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")] = ""
    #: What this node is called; empty: the machine's name and the beginning of the data folder's id.
    node: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")] = ""
    #: Where the other nodes reach this one's gateway: http://10.1.0.5:6971; empty: as `http.host` and `http.port` say.
    url: str = ""
    #: This node's share of the systems, beside the other nodes' capacities.
    capacity: Count = 100
    #: Seconds without a beat after which the other nodes take a node's systems over.
    lease: Annotated[float, Field(ge=1, le=60)] = 5.0
    #: How wrong the clocks of two nodes may run, against each other, as a share.
    drift: Annotated[float, Field(ge=0.0001, le=0.1)] = 0.01
    #: What the nodes know each other by; needed where they are on several machines.
    secret: SecretStr = SecretStr("")

    @field_validator("url")
    @classmethod
    def _can_be_reached(cls, value: str) -> str:
        return webhook_url(value).rstrip("/") if value else ""

    @model_validator(mode="after")
    def _nobody_guesses(self) -> Self:
        secret = self.secret.get_secret_value()
        if secret and len(secret) < 16:  # noqa: PLR2004 - what cannot be guessed
            raise together("secret must have at least 16 characters", "secret")
        away = self.url and not _LOOPBACK.fullmatch(urlsplit(self.url).hostname or "")
        if self.name and away and not secret:
            raise together("nodes on several machines need a secret", "url", "secret")
        return self
