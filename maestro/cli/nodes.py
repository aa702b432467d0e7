"""`maestro nodes`, `maestro drain`: the nodes of the cluster, as PostgreSQL has them.

They need the settings of a node, and no Maestro that answers: who looks after nodes does so when one is gone.
"""

import asyncio
import json as as_json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from maestro.cli.config import ConfigFile, loaded_or_exit
from maestro.cli.exits import EXIT_FAILED, EXIT_NOT_FOUND, EXIT_UNREACHABLE, EXIT_USAGE, fail
from maestro.cli.filled import filled
from maestro.cli.output import Output
from maestro.cluster.node import Node
from maestro.cluster.placement import claimers
from maestro.cluster.waits import Why
from maestro.language import mark, t, told
from maestro.settings.model import Settings
from maestro.store.base import StoreAway, StoreError
from maestro.store.installation import node_name

if TYPE_CHECKING:
    from maestro.store.postgres.nodes import PostgresNodes

T = TypeVar("T")

#: What a node waits for before a system is another's, in words.
_WHY: Final = {
    Why.IN_RUN: mark("is in a run"),
    Why.SILENT: mark("does not answer"),
    Why.UNCONFIRMED: mark("its end is not confirmed"),
    Why.NO_NODE: mark("no other node claims systems"),
}

Json = Annotated[bool, typer.Option("--json", help="For scripts: JSON on stdout.")]


def nodes(*, config: ConfigFile = None, json: Json = False) -> None:
    """List the nodes of the cluster: who is there, what each owns, who drains, who may claim."""
    settings = loaded_or_exit(config).settings
    out = Output(json=json)
    if not settings.cluster.name:
        if json:
            out.raw(as_json.dumps({"nodes": [], "unowned": []}).encode())
        out.say(t("this Maestro is no node of a cluster"))
        return

    async def read(nodes: "PostgresNodes") -> tuple[tuple[Node, ...], frozenset[str], Counter[str]]:
        from maestro.store.postgres.stores import PostgresStores  # noqa: PLC0415 - needs the extra `postgresql`

        store = settings.store
        stores = PostgresStores(store.url.get_secret_value(), store.timeout, settings.data_dir, settings.cluster.name)
        seen = await nodes.look()
        owners = await nodes.owners(await stores.systems())
        return seen.nodes, seen.free, Counter(node.name for node in owners.values())

    found, free, owned = _asked(settings, read)
    fit = {node.name for node in claimers(found)}
    if json:
        told_of = [
            asdict(node)
            | {"live": node.holds_lease, "claims": node.name in fit, "systems": owned[node.name]}
            | {"waits_for": dict(node.waits_for)}
            for node in found
        ]
        out.raw(as_json.dumps({"nodes": told_of, "unowned": sorted(free)}).encode())
        return
    out.table(
        ("node", "state", ">systems", ">capacity", "events", "version", "url"),
        [
            (node.name, _state(node, node.name in fit), owned[node.name], f"{node.capacity:g}",
             t("holds them") if node.holds_events else "", node.version, node.url)
            for node in found
        ],
        t("no node has ever joined"),
    )  # fmt: skip
    for node in found:
        if node.waits_for:
            out.say(t("{name} waits for: {systems}", name=node.name, systems=_waits(node)))
    if free:
        out.say(t("systems that no node owns: {systems}", systems=", ".join(sorted(free))))


def drain(
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="The node; by default the one of this configuration.", callback=filled)
    ] = "",
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Let it take systems again.")] = False,
    config: ConfigFile = None,
) -> None:
    """Have a node hand its systems over to the others, before it is stopped; each once it is in no run.

    `maestro nodes` says how many it has left, and what it waits for. A new start of the node ends it.
    """
    settings = _settings(config)
    name = node or node_name(settings)

    async def ask(nodes: "PostgresNodes") -> bool:
        return await nodes.drain(name, draining=not undo)

    if not _asked(settings, ask):
        fail(t("there is no node {name} that lives; see maestro nodes", name=name), EXIT_NOT_FOUND)
    typer.echo(
        t("{name} takes systems again", name=name)
        if undo
        else t(
            "{name} hands its systems over; maestro nodes says how many it has left, and what it waits for", name=name
        )
    )


def _state(node: Node, claims: bool) -> str:  # noqa: FBT001 - one fact of the row
    if not node.holds_lease:
        return t("gone")
    if node.draining:
        return t("drains")
    return t("lives") if claims else t("claims nothing: other settings, or an older schema, than the others")


def _waits(node: Node) -> str:
    return ", ".join(f"{system} ({t(_WHY[Why(why)])})" for system, why in node.waits_for)


def _settings(config: ConfigFile) -> Settings:
    settings = loaded_or_exit(config).settings
    if not settings.cluster.name:
        fail(t("cluster.name is empty: this Maestro is alone"), EXIT_USAGE)
    return settings


def _asked(settings: Settings, ask: "Callable[[PostgresNodes], Awaitable[T]]") -> T:
    """Put a question to the tables of the cluster; what is wrong with them is one line."""

    async def asked() -> T:
        from maestro.store.postgres.nodes import PostgresNodes  # noqa: PLC0415 - needs the extra `postgresql`

        store = settings.store
        nodes = PostgresNodes(store.url.get_secret_value(), "", store.timeout, store.timeout)
        try:
            return await ask(nodes)
        finally:
            await nodes.close()

    try:
        return asyncio.run(asked())
    except StoreAway as problem:
        fail(told(str(problem)), EXIT_UNREACHABLE)
    except StoreError as problem:
        fail(told(str(problem)), EXIT_FAILED)
