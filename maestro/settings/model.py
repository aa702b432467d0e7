"""Every setting: its name, meaning, unit and default. `config/maestro.toml` shows them all.

Those of access, notices, policies and of the servers that Maestro rests on are in files of their own.
The models are plain; `maestro.settings` fills them from file and environment.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from maestro.settings.access import AccessSettings
from maestro.settings.base import (
    TOGETHER,
    Count,
    Port,
    Seconds,
    Section,
    SystemId,
    WebhookUrl,
    check_host,
    together,
    webhook_url,
)
from maestro.settings.notify import NotifySettings
from maestro.settings.policies import PolicySettings
from maestro.settings.servers import BrokerSettings, ClusterSettings, StoreSettings


def _host_name(value: str) -> str:
    if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", value):
        raise ValueError('must be a name such as maestro.example.org or *.example.org, without a port; "*": any')
    return value.lower()


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
HostName = Annotated[str, AfterValidator(_host_name)]


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
    host: Annotated[str, Field(pattern=r"^[^\s/@]+$"), AfterValidator(check_host)] = "localhost"
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
