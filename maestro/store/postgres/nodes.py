"""`PostgresNodes`: the nodes of a cluster and who owns which system, in PostgreSQL.

Each step is one statement, so a client that is frozen in the middle of it holds nothing up. A statement sees the rows
as they were when it began, and a row that it changes as it is by then. That it may see others' incarnations of a moment
ago does no harm: they are only ever raised, and what is free by an old one is free.

Beats have a connection of their own, and wait for nothing else.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, LiteralString

import structlog

from maestro.cluster.node import Lease, Node
from maestro.cluster.waits import Why
from maestro.store.base import StoreAway, StoreError
from maestro.store.nodes import NOTHING, Nodes, Seen
from maestro.store.postgres.connection import application_name, named
from maestro.store.postgres.line import Line
from maestro.store.postgres.schema import STATE
from maestro.store.postgres.whose import UNKNOWN, Whose, cluster_owner

_COLUMNS: Final = (
    "node, incarnation, beat, url, capacity, draining, holds_events, version, schema, settings_digest, joined, "
    "lease_seconds, waits_for"
)
#: As long as the stores are the cluster's: a migration that takes them waits for a join, and then sees it.
_JOIN: Final = """
    WITH ours AS (SELECT id FROM maestro.installation WHERE id = %s FOR SHARE)
    INSERT INTO maestro.nodes (node, incarnation, beat, url, capacity, draining, holds_events, version, schema,
                               settings_digest, lease_seconds, joined)
    SELECT %s, 1, 1, %s, %s, false, false, %s, %s, %s, %s, last.joined + 1
    FROM ours, (SELECT coalesce(max(joined), 0) AS joined FROM maestro.nodes) AS last
    ON CONFLICT (node) DO UPDATE SET
        incarnation = nodes.incarnation + 1, beat = 1, url = excluded.url, capacity = excluded.capacity,
        draining = false, holds_events = false, waits_for = '{}', version = excluded.version,
        schema = excluded.schema,
        settings_digest = excluded.settings_digest, joined = excluded.joined, lease_seconds = excluded.lease_seconds
    WHERE nodes.beat = 0
    RETURNING incarnation
"""
_WHOSE: Final = "SELECT id, host, since::text FROM maestro.installation"
_BEAT: Final = """
    UPDATE maestro.nodes SET beat = %s, holds_events = %s, waits_for = %s
    WHERE node = %s AND incarnation = %s AND beat > 0 AND beat < %s
    RETURNING beat
"""
_NODES: Final[LiteralString] = f"SELECT {_COLUMNS} FROM maestro.nodes ORDER BY node"  # noqa: S608 - constant
_FREE: Final = """
    SELECT id FROM maestro.systems WHERE node = ''
    UNION ALL
    SELECT systems.id FROM maestro.nodes JOIN maestro.systems USING (node)
    WHERE systems.incarnation < nodes.incarnation
"""
_MINE: Final = "SELECT id, claim FROM maestro.systems WHERE node = %s AND incarnation = %s"
_REST_MARKS: Final[LiteralString] = f"""
    SELECT marks.system, marks.mark FROM maestro.rest_marks AS marks JOIN maestro.systems ON systems.id = marks.system
    WHERE systems.id = ANY(%s) AND systems.node = %s AND systems.incarnation = %s
      AND marks.state = {STATE}
"""  # noqa: S608 - constant
#: The connections of a node that stood still may hold rows: a commit that was on its way when it was frozen.
_TERMINATE: Final = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = %s AND datname = current_database() AND pid <> pg_backend_pid() AND EXISTS (
        SELECT 1 FROM maestro.nodes WHERE node = %s AND incarnation = %s AND beat = %s
    )
"""
_END: Final = """
    WITH ended AS (
        UPDATE maestro.nodes SET incarnation = incarnation + 1, beat = 0, draining = false, holds_events = false,
            waits_for = '{}'
        WHERE node = %s AND incarnation = %s AND beat > 0 AND beat = coalesce(%s, beat)
        RETURNING node
    ), freed AS (
        UPDATE maestro.systems SET node = '', incarnation = 0, epoch = epoch + 1
        FROM ended WHERE systems.node = ended.node AND systems.incarnation = %s
    )
    SELECT count(*) FROM ended
"""
_CLAIM: Final = """
    INSERT INTO maestro.systems (id, epoch, life, number, node, incarnation, claim)
    SELECT wanted.id, 1, '', 0, nodes.node, nodes.incarnation, 1
    FROM maestro.nodes, unnest(%s::text[]) AS wanted (id)
    WHERE nodes.node = %s AND nodes.incarnation = %s AND nodes.beat > 0
    ORDER BY wanted.id
    ON CONFLICT (id) DO UPDATE SET
        epoch = systems.epoch + 1, node = excluded.node, incarnation = excluded.incarnation, claim = systems.epoch + 1
    WHERE systems.node = ''
       OR systems.incarnation < (SELECT owner.incarnation FROM maestro.nodes owner WHERE owner.node = systems.node)
    RETURNING id, claim
"""
_RELEASE: Final = """
    UPDATE maestro.systems SET node = '', incarnation = 0, epoch = epoch + 1
    WHERE node = %s AND incarnation = %s AND id = %s AND claim = %s
"""
_DRAIN: Final = "UPDATE maestro.nodes SET draining = %s WHERE node = %s AND beat > 0 RETURNING node"
_OWNERS: Final[LiteralString] = f"""
    SELECT systems.id, {_COLUMNS} FROM maestro.systems JOIN maestro.nodes USING (node, incarnation)
    WHERE systems.id = ANY(%s)
"""  # noqa: S608 - constant


def _node(row: Sequence[Any]) -> Node:
    *fields, waits_for = row
    return replace(Node(*fields), waits_for=tuple(json.loads(waits_for).items()))


class PostgresNodes(Nodes):
    """See `Nodes`.

    Args:
        node: the name of this node; empty: it is none, and only looks.
        seconds: how long the database has for an answer.
        beat_within: how long it has for a beat (`Terms.answer_within`).
        cluster: the name of the cluster that nodes join; empty: none does by this.
    """

    def __init__(self, url: str, node: str, seconds: float, beat_within: float, cluster: str = "") -> None:
        self._node = node
        self._owner = cluster_owner(cluster)
        own = named(url, node) if node else url
        self._beats = Line(own, beat_within)
        self._rest = Line(own, seconds)
        self._log = structlog.get_logger(part="cluster")
        self._may_terminate = True

    async def join(self, node: Node) -> int | None:
        """See `Nodes.join`. Raises `StoreLocked` while the stores are not this cluster's."""
        given = (
            self._owner, node.name, node.url, node.capacity, node.version, node.schema, node.settings_digest,
            node.lease_seconds,
        )  # fmt: skip
        found = await self._rest.execute(_JOIN, given)
        if found:
            return int(found[0][0])
        whose = Whose(*(await self._rest.execute(_WHOSE) or [UNKNOWN])[0])
        if whose.id != self._owner:
            raise whose.refusal(self._owner)
        return None

    async def beat(
        self, lease: Lease, number: int, *, holds_events: bool = False, waits_for: Mapping[str, Why] = NOTHING
    ) -> bool:
        """See `Nodes.beat`."""
        told = json.dumps(dict(waits_for))
        return bool(await self._beats.execute(_BEAT, (number, holds_events, told, *lease, number)))

    async def look(self) -> Seen:
        """See `Nodes.look`."""
        free = frozenset(system_id for (system_id,) in await self._rest.execute(_FREE))
        return Seen(tuple(map(_node, await self._rest.execute(_NODES))), free)

    async def mine(self, lease: Lease) -> dict[str, int]:
        """See `Nodes.mine`."""
        return dict(await self._rest.execute(_MINE, lease))

    async def rest_marks(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, bytes]:
        """See `Nodes.rest_marks`."""
        return {one: bytes(mark) for one, mark in await self._rest.execute(_REST_MARKS, (list(system_ids), *lease))}

    async def break_lease(self, lease: Lease, beat: int) -> bool:
        """See `Nodes.break_lease`."""
        if lease.node != self._node:  # our own connections are this life's
            await self._terminate(lease, beat)
        ((broken,),) = await self._rest.execute(_END, (*lease, beat, lease.incarnation))
        return bool(broken)

    async def claim(self, lease: Lease, system_ids: Iterable[str]) -> dict[str, int]:
        """See `Nodes.claim`."""
        return dict(await self._rest.execute(_CLAIM, (list(system_ids), *lease)))

    async def release(self, lease: Lease, system_id: str, claim: int) -> None:
        """See `Nodes.release`."""
        await self._rest.execute(_RELEASE, (*lease, system_id, claim))

    async def leave(self, lease: Lease) -> None:
        """See `Nodes.leave`."""
        await self._rest.execute(_END, (*lease, None, lease.incarnation))

    async def drain(self, node: str, *, draining: bool) -> bool:
        """See `Nodes.drain`."""
        return bool(await self._rest.execute(_DRAIN, (draining, node)))

    async def owners(self, system_ids: Iterable[str]) -> dict[str, Node]:
        """See `Nodes.owners`."""
        return {row[0]: _node(row[1:]) for row in await self._rest.execute(_OWNERS, (list(system_ids),))}

    async def close(self) -> None:
        """See `Nodes.close`."""
        await self._beats.close()
        await self._rest.close()

    async def _terminate(self, lease: Lease, beat: int) -> None:
        """End the connections of a node whose lease is to be broken. One that may not do so breaks it all the same."""
        try:
            await self._rest.execute(_TERMINATE, (application_name(lease.node), *lease, beat))
        except StoreAway:
            raise
        except StoreError as problem:
            if self._may_terminate:
                self._log.warning("may not end the connections of a broken node: a commit of its may hold a system "
                                  "up until its connection ends", node=lease.node, cause=str(problem))  # fmt: skip
            self._may_terminate = False
