"""`Idempotency-Key`: a decision that is sent again with the same key is answered as it was the first time.

What was answered is kept in a store of the gateway's own (`<data_dir>/gateway.db`), or in PostgreSQL where the stores
are there (`shared_replays`), and survives its restart; per caller and in all there is a bound, the oldest goes first.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from aiohttp import web

from maestro.http.replies import Problem
from maestro.store.base import Delete, Put, Store, Write

HEADER: Final = "Idempotency-Key"
KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
#: Answers kept: per caller, in all, bytes in all, and for how many seconds.
PER_CALLER, IN_ALL, BYTES, KEPT_FOR = 500, 10_000, 64 * 1024 * 1024, 24 * 3600.0
#: Marks an answer that says of something that it is not known whether it was done.
OPEN: Final = web.ResponseKey("open", bool)
#: The header of an answer that was given before.
REPLAYED: Final = "Idempotency-Replayed"
_TABLE: Final = "answers"


class Ticket:
    """One request's claim on its key."""

    __slots__ = ("fingerprint", "id", "owner")

    def __init__(self, owner: str, key: str, fingerprint: str) -> None:
        self.owner = owner
        self.fingerprint = fingerprint
        self.id = _hash(owner.encode(), key.encode())


class Replays(Protocol):
    """Remembers what was answered to whom under which key."""

    async def begin(
        self, ticket: Ticket, may_touch: Callable[[str], bool] = lambda _system: True
    ) -> web.Response | None:
        """Return what was answered the first time; None when this is the first time.

        `may_touch` tells whether the caller may still touch a system: an answer about one that it may not is not
        repeated. Its request is carried out as any other, that is, refused.

        Raises:
            Problem: 422 when the key was used for another request, 409 when that request is still under way.
        """

    async def end(self, ticket: Ticket, response: web.StreamResponse | None, system: str = "") -> None:
        """Keep a final answer; one that leaves open whether it was done (5xx, `OPEN`, or none) is not kept.

        `system`: the one it is about.
        """


class Settled(NamedTuple):
    """A final answer, as it is kept."""

    status: int
    type: str
    body: bytes


def settled(response: web.StreamResponse | None) -> Settled | None:
    """Return an answer as it is kept; None: it leaves open whether the request was done."""
    if not isinstance(response, web.Response) or response.status >= 500:  # noqa: PLR2004 - the server's errors
        return None
    if response.get(OPEN):
        return None
    body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
    return Settled(response.status, response.headers.get("Content-Type", ""), body)


def used(ticket: Ticket, fingerprint: str, *, under_way: bool) -> None:
    """Look whether a key that was used already may be used so. Raises `Problem` (422, 409)."""
    if fingerprint != ticket.fingerprint:
        raise Problem(422, f"{HEADER}: was used for another request")
    if under_way:
        raise Problem(409, f"{HEADER}: the first request with it is still under way", {"Retry-After": "1"})


def repeated(status: int, type_: str, body: bytes) -> web.Response:
    """Return an answer that was given before."""
    headers = {"Content-Type": type_, REPLAYED: "true"}
    return web.Response(status=status, body=body, headers=headers)


class StoredReplays(Replays):
    """See `Replays`: in a store of the gateway's own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: dict[str, str] = {}
        #: (owner, size, time) of each answer kept, oldest first.
        self._kept: OrderedDict[str, tuple[str, int, float]] = OrderedDict()
        self._bytes = 0
        rows = sorted(store.rows(_TABLE), key=lambda row: row[1]["at"])
        for id_, row in rows:
            self._count(id_, row["owner"], len(row["body"]), row["at"])

    async def begin(
        self, ticket: Ticket, may_touch: Callable[[str], bool] = lambda _system: True
    ) -> web.Response | None:
        """See `Replays.begin`."""
        earlier = self._under_way.get(ticket.id)
        row = self._store.get(_TABLE, ticket.id) if earlier is None else None
        if row is not None and row["at"] + KEPT_FOR < time.time():
            row = None
        if earlier is not None or row is not None:
            used(ticket, earlier or (row or {})["fingerprint"], under_way=earlier is not None)
        if row is not None and may_touch(row.get("system", "")):
            return repeated(row["status"], row["type"], row["body"].encode())
        self._under_way[ticket.id] = ticket.fingerprint
        return None

    async def end(self, ticket: Ticket, response: web.StreamResponse | None, system: str = "") -> None:
        """See `Replays.end`."""
        self._under_way.pop(ticket.id, None)
        if (kept := settled(response)) is None:
            return
        now = time.time()
        row = {
            "owner": ticket.owner, "at": now, "fingerprint": ticket.fingerprint, "status": kept.status,
            "system": system, "body": kept.body.decode(), "type": kept.type,
        }  # fmt: skip
        self._count(ticket.id, ticket.owner, len(kept.body), now)
        self._store.commit([Put(_TABLE, ticket.id, row), *self._evicted(ticket.owner)], durable=False)

    def _count(self, id_: str, owner: str, size: int, at: float) -> None:
        previous = self._kept.pop(id_, None)
        self._bytes += size - (previous[1] if previous else 0)
        self._kept[id_] = (owner, size, at)

    def _evicted(self, owner: str) -> list[Write]:
        """Forget the oldest beyond the bounds."""
        gone: list[str] = []
        own = [id_ for id_, (whose, _, _) in self._kept.items() if whose == owner]
        gone += own[: max(0, len(own) - PER_CALLER)]
        for id_ in gone:
            self._forget(id_)
        old = time.time() - KEPT_FOR
        while len(self._kept) > 1:
            id_, (_, _, at) = next(iter(self._kept.items()))
            if at >= old and len(self._kept) <= IN_ALL and self._bytes <= BYTES:
                break
            self._forget(id_)
            gone.append(id_)
        return [Delete(_TABLE, id_) for id_ in gone]

    def _forget(self, id_: str) -> None:
        self._bytes -= self._kept.pop(id_)[1]


def ticket(request: web.Request, owner: str, body: bytes) -> Ticket | None:
    """Return the request's claim on its key; None when it has no key. Raises `Problem` (400)."""
    sent = request.headers.getall(HEADER, ())
    if not sent:
        return None
    if len(sent) > 1 or not KEY.fullmatch(sent[0]):
        raise Problem(400, f"{HEADER}: must be sent once, 1 to 200 visible ASCII characters")
    return Ticket(owner, sent[0], _hash(request.method.encode(), request.path_qs.encode(), body))


def _hash(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()
