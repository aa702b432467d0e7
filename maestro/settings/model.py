"""Every setting: its name, meaning, unit and default. `config/maestro.toml` shows them all.

The models are plain; `maestro.settings` fills them from file and environment.
"""

import re
from datetime import date
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from maestro.events import check_system_id
from maestro.settings.base import TOGETHER, Count, Port, Seconds, Section, WebhookUrl, together, webhook_url
from maestro.settings.notify import NotifySettings

SystemId = Annotated[str, AfterValidator(lambda value: check_system_id(value, repr(value)))]


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("must be a network such as 10.1.0.0/16, without bits of a host") from None


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("must be an origin such as https://console.example.org, without a path")
    return value.lower()


def _host_name(value: str) -> str:
    if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", value):
        raise ValueError('must be a name such as maestro.example.org or *.example.org, without a port; "*": any')
    return value.lower()


#: Hosts that are this machine.
_LOOPBACK: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")
#: Hosts that are every address of this machine: nobody else reaches it by them.
_EVERYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
#: Why a cluster needs a setting.
_NEEDED: Final = {
    "store.url": "the nodes share their state in PostgreSQL",
    "broker.url": "the nodes share RabbitMQ; the embedded broker is for one",
    "cluster.url": "http.host names no address at which the other nodes reach this one",
    "cluster.secret": "access.enabled asks everybody who they are, and without it any local process is a node",
}
Happening = Literal["pending", "decided", "finished", "failed"]
Network = Annotated[str, AfterValidator(_network)]
HostName = Annotated[str, AfterValidator(_host_name)]
Origin = Annotated[str, AfterValidator(_origin)]


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


class HttpSettings(Section):
    """Maestro's own HTTP gateway."""

    host: str = "127.0.0.1"
    port: Port = 6971
    #: Seconds to wait for an actor's answer.
    ask_timeout: Seconds = 10.0
    #: Seconds to wait for the end of a sync persist.
    sync_timeout: Seconds = 120.0
    #: Largest request body, in bytes.
    max_body_bytes: Count = 10 * 1024 * 1024
    #: What `Retry-After` says with a 403 of `proceed`, in seconds.
    retry_after: Count = 5
    #: Read locks from shared memory where that is proven right, instead of asking the system's actor each time.
    lock_board: bool = True
    #: The console has the system's id typed before an approval of more replays than this.
    type_system_above: Count = 50
    #: Requests a second, and at once, of one client (its token, else its address). Calls of the platform's own
    #: services count a tenth; `proceed` is free.
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 500.0
    burst: Count = 1000
    #: Further names under which the gateway is called, for instance a proxy's: "maestro.example.org", "*.example.org".
    allowed_hosts: tuple[HostName, ...] = ()
    #: PEM files of the certificate (with its chain) and its key; both or none. With them: HTTPS only.
    tls_cert: str = ""
    tls_key: str = ""
    #: Where people open the console, for links in notices: https://maestro.example.org, or with a path behind a proxy.
    public_url: str = ""

    @field_validator("public_url")
    @classmethod
    def _can_be_opened(cls, value: str) -> str:
        return webhook_url(value).rstrip("/") if value else ""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise together("tls_cert and tls_key: both or none", "tls_cert", "tls_key")
        return self


class OidcSettings(Section):
    """People's identities from an OpenID Connect issuer."""

    #: The issuer's URL, as in its tokens' `iss`; empty: off.
    issuer: str = ""
    #: What a token's `aud` must name.
    audience: str = ""
    #: Where the issuer's keys are; empty: asked of its discovery document.
    jwks_url: str = ""
    #: Claims with the person's name, groups (or roles), and systems (empty: all systems).
    user_claim: str = "sub"
    roles_claim: str = "roles"
    systems_claim: str = ""
    #: Values of `roles_claim` that make a viewer, an approver, an admin.
    viewers: tuple[str, ...] = ("maestro-viewer",)
    approvers: tuple[str, ...] = ("maestro-approver",)
    admins: tuple[str, ...] = ("maestro-admin",)

    #: Seconds for which the issuer's keys are trusted while it is out of reach.
    keys_max_age: Seconds = 86400.0

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("must be an https:// URL (http:// on loopback only)")
        return value

    @model_validator(mode="after")
    def _has_an_audience(self) -> Self:
        if self.issuer and not self.audience:
            raise together("an issuer needs an audience", "issuer", "audience")
        return self


class AccessSettings(Section):
    """Who may do what at the gateway."""

    #: Ask for credentials. Without, `maestro serve` listens on loopback only.
    enabled: bool = False
    #: Networks whose callers count as role `platform` without credentials.
    platform_networks: tuple[Network, ...] = ()
    #: Networks whose callers may look (role `viewer`), or decide (role `approver`), without credentials. Who decides
    #: is then whom the request names.
    viewer_networks: tuple[Network, ...] = ()
    approver_networks: tuple[Network, ...] = ()
    #: Origins of web pages, besides the gateway's own, that may send what changes something.
    origins: tuple[Origin, ...] = ()
    #: Failed credentials that an address may send per minute; more are 429. A valid one is never refused for it.
    failures: Count = 10
    #: Seconds a verified token of the issuer is trusted before it is verified again. A token of `maestro token add` is
    #: known for as long as it is in the file; a revoked one ends within 2 s.
    recheck: Seconds = 300.0
    #: Systems whose reprocessings need the approval of two different users.
    two_approvers: tuple[SystemId, ...] = ()
    #: Bytes of a file of the audit log after which the next one is begun.
    audit_file_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    #: Files of decisions that are kept, the oldest removed first; 0: all. Refused attempts have a log of their own.
    audit_files: Annotated[int, Field(ge=0)] = 0
    oidc: OidcSettings = OidcSettings()

    @model_validator(mode="after")
    def _two_are_two(self) -> Self:
        if self.two_approvers and self.approver_networks:
            message = "callers of approver_networks name themselves: they are no two different approvers"
            raise together(message, "two_approvers", "approver_networks")
        return self


class ActorSettings(Section):
    """The actor system."""

    #: Items per frame between processes, and about as many a turn of the loop takes.
    batch_events: Annotated[int, Field(ge=1, le=100)] = 64
    #: Bytes after which a frame takes no further item.
    batch_bytes: Count = 1_000_000
    #: Events a system actor holds that are not judged yet.
    backlog: Count = 256
    #: Seconds after which an actor that leaves a lock check unanswered is silent, and asked nothing more.
    silent_after: Seconds = 2.0
    #: Seconds without a sign of life after which an actor is replaced; below 2 a busy one would look dead.
    replace_after: Annotated[float, Field(ge=2, allow_inf_nan=False)] = 20.0
    #: Seconds in which nothing of a system goes on and nothing is asked of it, until its process ends; the next event
    #: or question starts it again. 0: never.
    idle_after: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    #: Actors that start side by side; the next is started once one of them is up.
    start_at_once: Annotated[int, Field(ge=1, le=1000)] = 12
    #: Let the kernel merge the equal pages of all actors, if it does that at all (KSM): a system takes a third of the
    #: memory. Others who share such a kernel may find out whether a page of theirs is in an actor too.
    merge_memory: bool = False

    @property
    def beat_every(self) -> float:
        """Seconds between two heartbeats of a system's actor: five in the time it may be silent, or more."""
        return min(4.0, self.replace_after / 5)

    @property
    def beat_fresh(self) -> float:
        """Seconds for which a heartbeat proves that the actor is at work: until two are missing."""
        return 2 * self.beat_every


class Sibling(Section):
    """Address of a sibling service."""

    scheme: Literal["http", "https"] = "http"
    host: Annotated[str, Field(pattern=r"^[^\s/@]+$")] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)]

    @property
    def url(self) -> str:
        """Return the address as the beginning of a URL, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"{self.scheme}://{host}:{self.port}"


class PlatformSettings(Section):
    """The sibling services and how patient Maestro is with them."""

    apicore: Sibling = Sibling(port=9110)
    discovery: Sibling = Sibling(port=8090)
    process_memory: Sibling = Sibling(port=9091)
    event_manager: Sibling = Sibling(port=8081)
    #: URL of a system's domain; `{host}` and `{port}` come from API core's installedApp.
    domain_url: str = "http://{host}:{port}"
    #: How committed instances become `finished` in API core, which Discovery needs to see them: "ensure" looks, and
    #: sets it when the platform has not within a second; "trust" leaves it to a platform whose domain answers after it.
    finished: Literal["ensure", "trust"] = "ensure"
    #: Tries per call; with the default backoff about 30 s in all when refused.
    tries: Count = 5
    #: First pause between two tries, in seconds; it doubles each time.
    backoff: Seconds = 2.0
    #: Longest pause between two tries, in seconds.
    backoff_max: Seconds = 16.0
    connect_timeout: Seconds = 2.0
    answer_timeout: Seconds = 30.0
    #: Seconds that the answer to a commit is awaited. Domain has no limit of its own.
    commit_timeout: Seconds = 3600.0
    #: Seconds, with Domain answering other questions, after which a commit whose answer was lost counts as ended; at
    #: least three times the longest commit that the system has seen. "never": only Domain or a person can say so.
    commit_settle: Seconds | Literal["never"] = 60.0
    #: The domains' persist is idempotent per instance: a commit in doubt is made again at once.
    commit_repeatable: bool = False
    #: Look for the rows of a commit in doubt through a map named `maestro`, registered at API core.
    proof_map: bool = True
    #: Tries of a notification (starting, finished, droping): nothing depends on it.
    notification_tries: Count = 2
    #: Largest answer read from a sibling, in bytes.
    max_answer_bytes: Count = 64 * 1024 * 1024
    #: Mirror each document to Process Memory.
    mirror_documents: bool = True
    #: Seconds between two mirrors of the same document while it runs.
    mirror_interval: Seconds = 1.0
    #: Seconds between two looks at API core for new systems.
    systems_refresh: Seconds = 60.0

    @field_validator("domain_url")
    @classmethod
    def _template_can_be_filled(cls, value: str) -> str:
        try:
            filled = value.format(host="host", port=1)
        except (KeyError, IndexError, ValueError):
            raise ValueError("may hold {host} and {port}, and no other braces") from None
        if "{host}" not in value or not filled.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// URL with {host} in it")
        return value


class ReprocessingSettings(Section):
    """The rules' few numbers."""

    #: Seconds to wait for a replay's persist event.
    replay_timeout: Seconds = 900.0
    #: Sends of a replay before the reprocessing fails.
    replay_attempts: Count = 2
    #: Seconds that a run waits, under its lock, for a sibling that is out of reach; then it fails.
    outage_limit: Seconds = 1800.0
    #: Rounds an instance is replayed in one reprocessing.
    max_replays_per_instance: Count = 3
    #: Systems whose reprocessings are approved without asking (also AUTO_REPROCESSING_<systemId>).
    auto_approve: tuple[SystemId, ...] = ()
    #: Completed deliveries remembered per system, to recognise a redelivery.
    dedup_window: Annotated[int, Field(ge=1000)] = 4096
    #: Refuse decisions without a reason. The platform's own client sends none.
    require_reason: bool = False
    #: Seconds for which a decision that covers its tag is taken for what else becomes pending of it.
    tag_window: Seconds = 600.0


class LedgerSettings(Section):
    """Who read which row, and who changed it last (docs/ledger.md)."""

    #: "replays": writes of every commit from a system's first run on, reads of replays and of events that were not
    #: committed in their turn; "all": writes and reads of every commit; "off".
    scope: Literal["replays", "all", "off"] = "replays"
    #: Rows kept per system; beyond it the oldest leave.
    rows: Annotated[int, Field(ge=1000)] = 1_000_000
    #: "hold": an event is held for what the ledger alone names, too; "report": such units are listed as stale instead.
    act: Literal["hold", "report"] = "hold"
    #: Systems whose ledger only reports, whatever `act` says.
    reports: tuple[SystemId, ...] = ()


class LateSettings(Section):
    """What becomes of results that are found stale after their commit (docs/ledger.md)."""

    #: "report": they are listed; "ask": a late reprocessing waits for a decision; "replay": it is approved at once.
    policy: Literal["report", "ask", "replay"] = "ask"


class WebhookSettings(Section):
    """Who is told what happens to reprocessings (docs/security.md)."""

    #: The secret that signs them; needed with `urls`, better kept in the environment than in a file.
    secret: SecretStr = SecretStr("")
    #: Where they go.
    urls: tuple[WebhookUrl, ...] = ()
    #: What is told.
    events: tuple[Happening, ...] = ("pending", "decided", "finished", "failed")
    #: Tries of each, and the first pause between two, in seconds; it doubles each time up to `backoff_max`.
    tries: Annotated[int, Field(ge=1, le=100)] = 12
    backoff: Seconds = 1.0
    backoff_max: Seconds = 300.0
    #: Seconds to wait for an answer.
    timeout: Seconds = 10.0
    #: Deliveries per system that the log keeps.
    kept: Annotated[int, Field(ge=1, le=100_000)] = 1000

    @model_validator(mode="after")
    def _are_signed(self) -> Self:
        if self.urls and len(self.secret.get_secret_value()) < 16:  # noqa: PLR2004 - what cannot be guessed
            raise together("urls need a secret of at least 16 characters", "urls", "secret")
        return self


def _path(value: str) -> str:
    if not all(value.split(".")):
        raise ValueError('must be a path into the origin event, such as "payload.date"')
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must have at least one entry")
    return value


Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[int, Field(ge=0, le=100_000)]
Number = Annotated[int, Field(ge=0)]


class PolicySettings(Section):
    """One `[[policy]]`: what is demanded of a decision, and of which (docs/policies.md)."""

    #: What it is called: letters, digits, and . _ - after the first.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    #: "ask", "two_approvers", "approve", "refuse_skip": one or several.
    effects: Annotated[tuple[Literal["ask", "two_approvers", "approve", "refuse_skip"], ...], AfterValidator(_some)]
    #: Systems that it is for; patterns (`*`, `?`) of the origin event's name and of the branch. Empty: all.
    systems: tuple[SystemId, ...] = ()
    events: tuple[Pattern, ...] = ()
    branches: tuple[Pattern, ...] = ()
    #: Units, at least and at most.
    units_from: Number | None = None
    units_to: Number | None = None
    #: Rows that the held commit creates, changes or destroys, at least and at most.
    rows_from: Number | None = None
    rows_to: Number | None = None
    #: The data's date is before this day; on it or later.
    data_before: date | None = None
    data_from: date | None = None
    #: The data's date is more than so many days ago; so many at most.
    older_than_days: Days | None = None
    within_days: Days | None = None
    #: Where the origin event has the data's date: the first of these paths that is there.
    date_from: Annotated[tuple[Annotated[str, AfterValidator(_path)], ...], AfterValidator(_some)] = (
        "reference_date",
        "referenceDate",
    )
    #: How far a run goes that "approve" has put on its way, until it pauses and somebody is asked.
    budget_replays: Count | None = None
    budget_minutes: Seconds | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        others = {"ask", "two_approvers"} & {*self.effects}
        if "approve" in self.effects and others:
            raise ValueError(f'effects: "approve" and "{min(others)}" exclude each other')
        if "approve" not in self.effects and not (self.budget_replays is None and self.budget_minutes is None):
            raise ValueError('budget_replays and budget_minutes are for the effect "approve"')
        for least, most in (("units_from", "units_to"), ("rows_from", "rows_to"), ("data_from", "data_before")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and (low > high or (least == "data_from" and low == high)):
                raise ValueError(f"{least} = {low}, {most} = {high}: no commit can be both")
        return self


class LogSettings(Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    #: "auto": readable on a terminal, JSON otherwise.
    format: Literal["auto", "console", "json"] = "auto"


class TraceSettings(Section):
    """OpenTelemetry traces of events and reprocessings."""

    #: Needs the packages of the extra `trace`.
    enabled: bool = False
    #: Where spans go: OTLP over HTTP. Headers come from OTEL_EXPORTER_OTLP_HEADERS.
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$")] = "http://127.0.0.1:4318/v1/traces"
    #: Share of traces that is kept, 0 to 1.
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0

    @field_validator("enabled")
    @classmethod
    def _has_its_packages(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic calls it so
        if value and find_spec("opentelemetry") is None:
            raise ValueError("needs OpenTelemetry: pip install '.[trace]' in the folder of Maestro's sources")
        return value


class Settings(Section):
    """All of it."""

    #: Folder of everything Maestro keeps.
    data_dir: Path = Path("data")
    #: Systems to serve from the start, beside those that API core names.
    systems: tuple[SystemId, ...] = ()
    #: File of what the systems' data are called (`settings.labels`); empty: `labels.toml` beside the configuration
    #: file, if it is there.
    labels: str = ""
    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    cluster: ClusterSettings = ClusterSettings()
    http: HttpSettings = HttpSettings()
    access: AccessSettings = AccessSettings()
    actors: ActorSettings = ActorSettings()
    platform: PlatformSettings = PlatformSettings()
    reprocessing: ReprocessingSettings = ReprocessingSettings()
    ledger: LedgerSettings = LedgerSettings()
    late: LateSettings = LateSettings()
    webhooks: WebhookSettings = WebhookSettings()
    notify: NotifySettings = NotifySettings()
    log: LogSettings = LogSettings()
    trace: TraceSettings = TraceSettings()
    policy: tuple[PolicySettings, ...] = ()

    @property
    def node_url(self) -> str:
        """Where the other nodes of the cluster reach this one's gateway."""
        scheme = "https" if self.http.tls_cert else "http"
        host = f"[{self.http.host}]" if ":" in self.http.host else self.http.host
        return self.cluster.url or f"{scheme}://{host}:{self.http.port}"

    @model_validator(mode="after")
    def _nodes_share(self) -> Self:
        if not self.cluster.name:
            return self
        for missing, names in (
            (not self.store.url.get_secret_value(), ("cluster.name", "store.url")),
            (not self.broker.shared, ("cluster.name", "broker.url")),
            (not self.cluster.url and self.http.host in _EVERYWHERE, ("cluster.name", "cluster.url")),
            (self.access.enabled and not self.cluster.secret.get_secret_value(), ("cluster.name", "cluster.secret")),
        ):
            if missing:
                raise PydanticCustomError(
                    TOGETHER, "{setting} is needed with cluster.name: {why}",
                    {"names": names, "setting": names[1], "why": _NEEDED[names[1]]},
                )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _somebody_approves(self) -> Self:
        both = sorted({*self.access.two_approvers} & {*self.reprocessing.auto_approve})
        if both:
            raise PydanticCustomError(
                TOGETHER,
                "access.two_approvers, reprocessing.auto_approve: {system} is in both: nobody would approve what runs",
                {"names": ("access.two_approvers", "reprocessing.auto_approve"), "system": both[0]},
            )
        return self

    @model_validator(mode="after")
    def _policies_fit(self) -> Self:
        names = [policy.name for policy in self.policy]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PydanticCustomError(
                TOGETHER, "two policies are called {name}", {"names": ("policy",), "name": twice[0]}
            )
        asks_two = [policy.name for policy in self.policy if "two_approvers" in policy.effects]
        if asks_two and self.access.approver_networks:
            raise PydanticCustomError(
                TOGETHER,
                "policy {name} asks for two approvers, and callers of access.approver_networks name themselves: "
                "they are no two different approvers",
                {"names": ("policy", "access.approver_networks"), "name": asks_two[0]},
            )
        return self
