"""`maestro import`: takes over what another Maestro left, while none runs."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import typer

from maestro import logs
from maestro.broker import open_broker
from maestro.broker.base import Broker, BrokerError
from maestro.cli.backup import alone
from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, fail
from maestro.cli.filled import filled
from maestro.cli.plain import plain
from maestro.events import BadInput, check_system_id
from maestro.language import t, tn, told
from maestro.platform import Platform, SiblingError
from maestro.settings.model import Settings
from maestro.store.base import StoreError
from maestro.store.door import open_stores
from maestro.store.installation import begin_start, read_installation
from maestro.takeover.documents import Left
from maestro.takeover.gathering import Found, look, open_documents, put_back, take_off
from maestro.takeover.importing import Outcome, Taken, take_over

#: Seconds to connect to the broker.
_CONNECT: Final = 10.0
_LOOK: Final = 0.05


class Source(StrEnum):
    """Whose documents are taken over."""

    GO = "go"


@dataclass(frozen=True, slots=True)
class _Result:
    found: list[tuple[Found, Taken]]
    problems: list[str]

    @property
    def whole(self) -> bool:
        return not self.problems and not any(taken.problems for _, taken in self.found)


def import_(
    source: Annotated[Source, typer.Option("--from", help="Whose documents and messages are taken over.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    system: Annotated[
        list[str], typer.Option(help="Only this system; may be given more than once.", callback=filled)
    ] = [],  # noqa: B006 - typer copies it
    config: ConfigFile = None,
) -> None:
    """Take over the reprocessings that the Go Maestro left: documents in Process Memory, messages on its queues.

    It and this Maestro must be stopped. A second import changes nothing. Exit code 1 when something could not be
    taken over.
    """
    del source  # there is one
    settings = loaded_or_exit(config).settings
    if settings.broker.kind != "rabbitmq":
        fail(t("the Go Maestro's queues are on RabbitMQ: set broker.url, or RABBITMQ_HOST"), EXIT_USAGE)
    try:
        only = [check_system_id(one, "--system") for one in system]
    except BadInput as bad:
        fail(told(str(bad)), EXIT_USAGE)
    logs.configure(settings.log)
    with alone(settings):
        try:
            result = asyncio.run(_import(settings, only, dry=dry_run))
        except (BrokerError, SiblingError) as problem:
            fail(told(plain(str(problem))), EXIT_UNREACHABLE)
    for line in _told(result, dry=dry_run):
        typer.echo(plain(line, limit=2000))
    if not result.whole:
        raise typer.Exit(EXIT_FAILED)


async def _import(settings: Settings, only: Sequence[str], *, dry: bool) -> _Result:
    broker = open_broker(settings.broker, settings.data_dir)
    await broker.start()
    try:
        if not dry:
            await enter(settings)
        async with await Platform.open(settings.platform) as platform:
            await connected(broker)
            documents, problems = await open_documents(platform)
            systems = only or sorted({*await platform.apicore.systems(), *(one.system_id for one in documents)})
        found = [await of_system(settings, broker, one, documents, dry=dry) for one in systems]
        return _Result([one for one in found if _says_something(*one)], problems)
    finally:
        await broker.close()


async def enter(settings: Settings) -> None:
    """Make the stores ready for use, as a start does. Ends with one line and exit code 1 when they cannot be."""
    try:
        ours = read_installation(settings.data_dir) or begin_start(settings.data_dir)
        await open_stores(settings).enter(ours)
    except StoreError as problem:
        fail(str(problem), EXIT_FAILED)


async def connected(broker: Broker) -> None:
    """Wait until the broker is there. Raises `BrokerError` when it is not in time."""
    deadline = time.monotonic() + _CONNECT
    while not broker.connected:
        if time.monotonic() > deadline:
            raise BrokerError(f"the broker cannot be reached: {broker.problem}")
        await asyncio.sleep(_LOOK)


async def of_system(
    settings: Settings, broker: Broker, system_id: str, documents: Sequence[Left], *, dry: bool
) -> tuple[Found, Taken]:
    """Take one system over: first its store is written, then the messages leave their queues."""
    found = await look(broker, system_id, documents)
    if found.consumed and not dry:
        queues = ", ".join(found.consumed)
        return found, Taken(
            problems=[t("somebody consumes {queues}: stop the Go Maestro first; nothing is taken over", queues=queues)]
        )
    try:
        taken = await take_over(found, open_stores(settings), time.time(), dry=dry)
    except StoreError as problem:
        put_back(broker, found)
        return found, Taken(problems=[t("store: {problem}; nothing is taken over", problem=told(str(problem)))])
    if dry:
        put_back(broker, found)
    else:
        take_off(broker, found)
        await broker.depth(next(iter(found.depths), "persist"))  # an answer: what was acknowledged has left
    return found, taken


def _says_something(found: Found, taken: Taken) -> bool:
    return bool(taken.documents or taken.problems or found.deliveries or found.consumed or any(found.depths.values()))


def _told(result: _Result, *, dry: bool) -> Iterator[str]:
    for found, taken in result.found:
        locked = t("locked by {id}", id=found.locked_by) if found.locked_by else t("not locked")
        yield f"{found.system_id}: {locked}"
        for one in taken.documents:
            yield f"  {_document(one)}"
        for queue, ready in found.depths.items():
            if ready:
                yield f"  {queue}: " + tn("{n} message", "{n} messages", ready)
        if found.consumed and dry:
            queues = ", ".join(found.consumed)
            yield "  " + t(
                "somebody consumes {queues}: messages are counted, not read; stop the Go Maestro before the import",
                queues=queues,
            )
        if found.deliveries:
            number = len(found.deliveries)
            yield "  " + (
                tn("would be taken off: {n} message", "would be taken off: {n} messages", number)
                if dry
                else tn("taken off: {n} message", "taken off: {n} messages", number)
            )
        yield from ("  " + t("problem: {problem}", problem=told(problem)) for problem in taken.problems)
    yield from (t("problem: {problem}", problem=told(problem)) for problem in result.problems)
    new = sum(not one.known for _, taken in result.found for one in taken.documents)
    known = sum(one.known for _, taken in result.found for one in taken.documents)
    yield (
        tn(
            "{n} reprocessing would be imported, {known} known already",
            "{n} reprocessings would be imported, {known} known already",
            new,
            known=known,
        )
        if dry
        else tn(
            "{n} reprocessing imported, {known} known already",
            "{n} reprocessings imported, {known} known already",
            new,
            known=known,
        )
    )
    if dry:
        yield t("nothing was changed")


def _document(one: Outcome) -> str:
    if one.known:
        return t("{id}: known already as {status}", id=one.id, status=told(one.status))
    if one.done:
        far = tn("{done} of {n} replay done", "{done} of {n} replays done", one.units, done=one.done)
    else:
        far = tn("{n} replay", "{n} replays", one.units)
    becomes = f" -> {told(one.status)}" if one.status != one.found else ""
    note = f"; {told(one.note)}" if one.note else ""
    return f"{one.id}: {told(one.found)}{becomes}, {far}{note}"
