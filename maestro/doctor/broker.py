"""Whether the broker can be reached, and each system's queues are as they must be."""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pika
import pika.exceptions

from maestro.broker import open_broker
from maestro.broker.base import Broker, BrokerError, Depth
from maestro.broker.rabbitmq_problem import PRECONDITION_FAILED
from maestro.broker.rabbitmq_session import parameters_of
from maestro.broker.topology import OWNER, SystemQueues
from maestro.client.errors import ClientError
from maestro.client.finding import documents
from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site
from maestro.settings.model import Settings
from maestro.settings.servers import BrokerSettings
from maestro.statuses import FAILED, ordered
from maestro.store.installation import read_installation

BROKER, QUEUES = "broker", "queues"
#: Seconds to connect, and between two looks whether it is done.
_CONNECT: Final = 6.0
_LOOK: Final = 0.05
#: The first version of RabbitMQ whose quorum queues drop what was handed back 20 times, unless a policy says otherwise.
_LIMITING: Final = 4
_LIMIT: Final = (
    "is a quorum queue of RabbitMQ 4, which drops what was handed back 20 times unless a policy sets delivery-limit to "
    "-1; whether one does cannot be seen from here"
)
_LIMIT_MEND: Final = (
    """rabbitmqctl set_policy maestro '^(persist\\.|maestro\\.owner)' '{"delivery-limit": -1}' """
    "--apply-to quorum_queues -p plataforma_v1.0"
)
#: What RabbitMQ is said to have refused (`broker/rabbitmq_problem.py`), in small letters: other reasons name the vhost.
_REFUSED_VHOST: Final = "refused the vhost"
_REFUSED_USER: Final = "refused the user name or password"
#: Messages that were not taken in yet from which on somebody should look.
_DEEP: Final = 1000


async def check_broker(site: Site) -> list[Finding]:
    """Whether the broker can be reached; if so, what its queues look like."""
    settings = site.settings
    if (obstacle := _obstacle(settings)) is not None:
        return [obstacle]
    try:
        broker = open_broker(settings.broker, settings.data_dir)
    except BrokerError as error:
        return [problem(BROKER, settings.broker.kind, str(error), "maestro config show")]
    await broker.start()
    try:
        return [finding async for finding in _findings(site, broker)]
    except BrokerError as error:
        return [problem(BROKER, where(settings), str(error), broker_mend(settings.broker, str(error)))]
    finally:
        await broker.close()


def where(settings: Settings) -> str:
    """Name the broker, without a password."""
    if settings.broker.kind == "embedded":
        return str(_folder(settings))
    nodes = parameters_of(settings.broker)
    return f"{','.join(f'{node.host}:{node.port}' for node in nodes)}/{nodes[0].virtual_host.removeprefix('/')}"


def _folder(settings: Settings) -> Path:
    return settings.broker.embedded_folder(settings.data_dir)


def _obstacle(settings: Settings) -> Finding | None:
    """Return why the embedded broker must not be opened from here: it would be made, or become another user's."""
    if settings.broker.kind != "embedded":
        return None
    folder = _folder(settings)
    if not folder.exists():
        return warning(BROKER, str(folder), "is made at the first start", "maestro serve")
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        return warning(
            BROKER, str(folder), f"not looked at: it is user {owner}'s", f"sudo -u '#{owner}' maestro doctor"
        )
    return None


def broker_mend(settings: BrokerSettings, why: str = "") -> str:
    """Return what brings a broker back; `why`: what it refused, or how it fails."""
    if settings.kind == "embedded":
        return "ls -ld and df -h on that folder: it must be writable and have space"
    if "not_found" in why.lower():
        return "rabbitmqctl cluster_status; rabbitmqctl list_queues name type state leader"
    if _REFUSED_VHOST in why.lower():
        url = urlsplit(next(iter(settings.urls), ""))
        vhost, user = shlex.quote(unquote(url.path[1:]) or "/"), shlex.quote(unquote(url.username or "guest"))
        return f"rabbitmqctl add_vhost {vhost}; rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'"
    if _REFUSED_USER in why.lower():
        return "maestro config show, and correct broker.url (RABBITMQ_USERNAME, RABBITMQ_PASSWORD)"
    return "systemctl start rabbitmq-server; rabbitmq-diagnostics status; maestro config show"


async def _findings(site: Site, broker: Broker) -> AsyncIterator[Finding]:
    name = where(site.settings)
    deadline = asyncio.get_running_loop().time() + _CONNECT
    while not broker.connected:
        if asyncio.get_running_loop().time() > deadline:
            yield problem(
                BROKER, name, f"not reachable: {broker.problem}", broker_mend(site.settings.broker, broker.problem)
            )
            return
        await asyncio.sleep(_LOOK)
    yield ok(BROKER, name, f"{site.settings.broker.kind}, reachable")
    if site.settings.broker.shared:
        yield await _owner(site, broker)
    for system_id in site.systems:
        depths = {binding.queue: await broker.depth(binding.queue) for binding in SystemQueues(system_id).bindings()}
        found = [*_queues(site, system_id, depths), *await _arguments(site.settings.broker, depths)]
        found += await _failed_runs(site, system_id, depths[SystemQueues(system_id).reprocessings_error])
        for finding in found:
            yield finding
        if not found:
            persist = depths[SystemQueues(system_id).persist]
            taken = "consumed" if persist is not None and persist.consumers else "not consumed"
            yield ok(QUEUES, system_id, f"{len(depths)} queues, {taken}, nothing piles up")


async def _owner(site: Site, broker: Broker) -> Finding:
    """Whose the events of the vhost are, as far as that can be told without taking the message."""
    depth = await broker.depth(OWNER)
    known = read_installation(site.settings.data_dir)
    if known is not None and known.foreign:
        return problem(BROKER, OWNER, known.foreign, "start the Maestro that owns them, or maestro adopt")
    if depth is None:
        return warning(BROKER, OWNER, "does not exist; it is declared when Maestro connects", "maestro serve")
    if depth.consumers:
        whose = "this data folder's" if known is not None and known.owner else "not this data folder's"
        return ok(BROKER, OWNER, f"held by a Maestro that is connected; the events are {whose}")
    if depth.ready:
        return ok(BROKER, OWNER, "names an owner that is not connected; whose the events are is told by maestro adopt")
    return ok(BROKER, OWNER, "names nobody: the first Maestro to start owns the events")


def _queues(site: Site, system_id: str, depths: Mapping[str, Depth | None]) -> Iterator[Finding]:
    queues = SystemQueues(system_id)
    served = site.serves(system_id)
    for queue, depth in depths.items():
        if depth is None:
            yield _missing(site, queue, served=served)
    persist = depths[queues.persist]
    if persist is not None:
        yield from _ingress(queues.persist, persist, served=served, mend=_restart(site))
    errors = depths[queues.persist_error]
    if errors is not None and errors.ready:
        mend = f"maestro errors groups {system_id}; then maestro errors redrive {system_id} --group KEY"
        yield warning(QUEUES, queues.persist_error, f"{errors.ready} event(s) failed for good", mend)


async def _failed_runs(site: Site, system_id: str, depth: Depth | None) -> list[Finding]:
    """Say how many runs are given up: each end by a failure is noted on a queue, and the notes stay after a retry."""
    if depth is None or not depth.ready or not site.serves(system_id):
        return []
    try:
        found = await asyncio.to_thread(lambda: sum(1 for _ in documents(site.maestro, (system_id,), ordered(FAILED))))
    except ClientError:  # then the check of the reprocessings says so
        return []
    mend = f"maestro history {system_id}; then maestro retry <id>"
    queue = SystemQueues(system_id).reprocessings_error
    return [warning(QUEUES, queue, f"{found} failed reprocessing(s) wait for a retry", mend)] if found else []


def _ingress(queue: str, depth: Depth, *, served: bool, mend: str) -> Iterator[Finding]:
    if served and not depth.consumers:
        yield problem(QUEUES, queue, "nobody consumes it although Maestro serves its system", mend)
    if depth.consumers > 1:
        find = "rabbitmqctl list_consumers -p plataforma_v1.0, and end the one that is not Maestro's"
        yield warning(QUEUES, queue, f"{depth.consumers} consume it: events are taken past Maestro", find)
    if depth.ready > _DEEP:
        yield warning(QUEUES, queue, f"{depth.ready} events were not taken in yet", "maestro systems")


def _missing(site: Site, queue: str, *, served: bool) -> Finding:
    if served:
        message = "does not exist although Maestro serves its system"
        return problem(QUEUES, queue, message, f"{_restart(site)} (every queue is declared when Maestro connects)")
    return warning(QUEUES, queue, "does not exist; it is declared when its system is served", "maestro serve")


def _restart(site: Site) -> str:
    return f"kill -TERM {site.record.main.pid}; maestro serve" if site.record else "maestro serve"


async def _arguments(settings: BrokerSettings, depths: Mapping[str, Depth | None]) -> list[Finding]:
    """Name the queues that exist with other arguments than the contract's. Only RabbitMQ has arguments."""
    if settings.kind == "embedded":
        return []
    existing = [queue for queue, depth in depths.items() if depth is not None]
    different, limited = await asyncio.to_thread(_different, settings, existing)
    mend = "rabbitmqctl list_queues -p plataforma_v1.0 name durable arguments"
    return [
        warning(QUEUES, queue, _LIMIT, _LIMIT_MEND)
        if limited and "'quorum'" in why
        else warning(QUEUES, queue, f"exists with other arguments, and is used as it is: {why}", mend)
        for queue, why in different.items()
    ]


def _different(settings: BrokerSettings, queues: list[str]) -> tuple[dict[str, str], bool]:
    """Declare queues that exist as the contract has them: that changes nothing, or is refused with the difference.

    Also tell whether the server is of a version whose quorum queues drop what was handed back too often.
    """
    found: dict[str, str] = {}
    try:
        connection = pika.BlockingConnection(parameters_of(settings))
    except pika.exceptions.AMQPError as error:
        raise BrokerError(f"its queues' arguments cannot be told: {error!r}") from error
    try:
        for queue in queues:
            channel = connection.channel()
            try:
                channel.queue_declare(queue, durable=True)
                channel.close()
            except pika.exceptions.ChannelClosedByBroker as closed:
                if closed.reply_code == PRECONDITION_FAILED:
                    found[queue] = closed.reply_text
        version = str((connection._impl.server_properties or {}).get("version", ""))  # noqa: SLF001 - told nowhere else
    finally:
        connection.close()
    major = version.partition(".")[0]
    return found, major.isdigit() and int(major) >= _LIMITING
