"""`maestro adopt`: takes over the events of a vhost from another installation that is gone."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import typer

from maestro import logs
from maestro.broker import open_broker
from maestro.broker.base import Broker, BrokerError
from maestro.cli.backup import alone
from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, fail
from maestro.cli.import_from import connected, enter, of_system
from maestro.cli.plain import plain
from maestro.language import t, tn, told
from maestro.platform import Platform, SiblingError
from maestro.settings.model import Settings
from maestro.store.door import open_stores
from maestro.store.installation import Installation, read_installation
from maestro.takeover.adopting import Adoption, depths, owner_in_hand
from maestro.takeover.gathering import Found, open_documents
from maestro.takeover.importing import Taken


@dataclass(slots=True)
class _Seen:
    """What an adoption finds, and does."""

    lines: list[str] = field(default_factory=list)
    needed: bool = True
    whole: bool = True
    done: bool = False


def adopt(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what is found.")] = False,
    config: ConfigFile = None,
) -> None:
    """Take over a vhost's events from another Maestro, or from a newer copy of this data folder, that is gone for good.

    Says what it finds. With --yes it imports the documents of Process Memory that are not ended, and takes every event
    that waits or was handed out before for a commit in doubt. No Maestro may run meanwhile.
    """
    settings = loaded_or_exit(config).settings
    if not settings.broker.shared:
        fail(t("nothing to adopt: the embedded broker has one user; set broker.url, or RABBITMQ_HOST"), EXIT_USAGE)
    if settings.cluster.name:
        fail(
            t(
                "a cluster adopts nothing: stop its nodes; here, with MAESTRO_CLUSTER__NAME='' before each, maestro "
                "store claim and maestro adopt --yes; then maestro store claim without it, and start this node first"
            ),
            EXIT_USAGE,
        )
    logs.configure(settings.log)
    with alone(settings):
        try:
            seen = asyncio.run(_adopt(settings, yes=yes))
        except (BrokerError, SiblingError) as problem:
            fail(told(plain(str(problem))), EXIT_UNREACHABLE)
    for line in seen.lines:
        typer.echo(plain(line, limit=2000))
    if not seen.whole:
        raise typer.Exit(EXIT_FAILED)


async def _adopt(settings: Settings, *, yes: bool) -> _Seen:
    broker = open_broker(settings.broker, settings.data_dir)
    await broker.start()
    try:
        await connected(broker)
        async with owner_in_hand(broker) as adoption, await Platform.open(settings.platform) as platform:
            return await _in_hand(settings, broker, adoption, platform, yes=yes)
    finally:
        await broker.close()


async def _in_hand(settings: Settings, broker: Broker, adoption: Adoption, platform: Platform, *, yes: bool) -> _Seen:
    seen = _Seen()
    ours = read_installation(settings.data_dir)
    seen.lines += _owner(adoption, ours)
    if not adoption.needed(ours):
        seen.lines.append(t("nothing to adopt: Maestro owns these events at its next start"))
        return seen
    documents, problems = await open_documents(platform)
    known = {*settings.systems, *await open_stores(settings).systems(), *(one.system_id for one in documents)}
    systems = sorted({*await platform.apicore.systems(), *known})
    if yes:
        await enter(settings)
    for system_id in systems:
        for queue, ready in (await depths(broker, system_id)).items():
            seen.lines.append(f"{system_id}: {queue}: " + tn("{n} message", "{n} messages", ready))
        found, taken = await of_system(settings, broker, system_id, documents, dry=not yes)
        seen.lines += _documents(found, taken, yes=yes)
        problems += [f"{system_id}: {problem}" for problem in taken.problems]
    seen.lines += [t("problem: {problem}", problem=told(problem)) for problem in problems]
    seen.whole = not problems
    if not yes:
        seen.lines.append(t("nothing was changed; to take these events over: {command}", command="maestro adopt --yes"))
        return seen
    if problems:
        said = t("not adopted: the owner is as before; what was imported stays, and is known at the next try")
        seen.lines.append(said)
        return seen
    adopted = await adoption.take(settings.data_dir, systems)
    values = {"id": adopted.id, "start": str(adopted.start)}
    seen.lines.append(t("adopted: the events of this vhost belong to {id} from its start {start} on", **values))
    seen.lines.append(t("events that waited or were handed out before come to their error queue as commits in doubt"))
    return seen


def _owner(adoption: Adoption, ours: Installation | None) -> Iterator[str]:
    if ours is not None:
        yield t("this data folder: {id}, start {start}", id=ours.id, start=str(ours.start))
    else:
        yield t("this data folder: never started")
    owner = adoption.owner
    if owner is not None:
        said = t("owner of the events: {id}, start {start}", id=owner.installation, start=str(owner.start))
        same = ours is not None and owner.installation == ours.id
        yield said + (t(" (the same folder, or a copy of it)") if same else "")
    else:
        yield t("owner of the events: not known") if adoption.messages else t("owner of the events: nobody")


def _documents(found: Found, taken: Taken, *, yes: bool) -> Iterator[str]:
    verb = t("imported") if yes else t("to be imported")
    for one in taken.documents:
        becomes = f" -> {told(one.status)}" if one.status != one.found else ""
        state = t("known here already") if one.known else verb
        named = f"{found.system_id}: " + t("reprocessing {id}", id=one.id)
        yield f"{named}: {told(one.found)}{becomes}, {tn('{n} replay', '{n} replays', one.units)}: {state}"
