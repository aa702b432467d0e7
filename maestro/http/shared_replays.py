"""Answers under an `Idempotency-Key` where the stores are in PostgreSQL: whichever node is asked again knows them."""

import uuid
from collections.abc import Callable
from typing import Final

from aiohttp import web

from maestro import logs
from maestro.http.idempotency import BYTES, IN_ALL, KEPT_FOR, PER_CALLER, Replays, Ticket, repeated, settled, used
from maestro.store.base import StoreError
from maestro.store.postgres.gateway import GatewayTables, StoredAnswer

#: Seconds after which a request counts as given up whose node has not said what became of it.
ABANDONED: Final = 300.0
#: Answers after which those beyond the bounds are forgotten.
_TRIM_EVERY: Final = 100


class SharedReplays(Replays):
    """See `Replays`."""

    def __init__(self, tables: GatewayTables) -> None:
        self._tables = tables
        #: Requests under way here. Two of one key may be, when the first one counts as given up.
        self._claims: dict[Ticket, str] = {}
        self._since_trimmed = 0

    async def begin(
        self, ticket: Ticket, may_touch: Callable[[str], bool] = lambda _system: True
    ) -> web.Response | None:
        """See `Replays.begin`. Raises `StoreError` as well: it is not known whether it was answered before."""
        claim = uuid.uuid4().hex
        found = await self._tables.claim_answer(ticket.id, ticket.owner, claim, ticket.fingerprint, ABANDONED, KEPT_FOR)
        if found is None:
            self._claims[ticket] = claim
            return None
        used(ticket, found.fingerprint, under_way=not found.status)
        if not may_touch(found.system):
            return None  # carried out as any other, that is, refused
        return repeated(found.status, found.type, found.body)

    async def end(self, ticket: Ticket, response: web.StreamResponse | None, system: str = "") -> None:
        """See `Replays.end`. A store that is away by now is logged: the request is done, and told."""
        claim = self._claims.pop(ticket, None)
        if claim is None:
            return
        try:
            if (kept := settled(response)) is None:
                await self._tables.drop_answer(ticket.id, claim)
                return
            answer = StoredAnswer(ticket.fingerprint, kept.status, system, kept.type, kept.body)
            await self._tables.keep_answer(ticket.id, claim, answer)
            self._since_trimmed += 1
            if self._since_trimmed >= _TRIM_EVERY:
                self._since_trimmed = 0
                await self._tables.trim_answers(KEPT_FOR, PER_CALLER, IN_ALL, BYTES)
        except StoreError as problem:
            logs.get(part="http").warning("http.answer_not_kept", cause=str(problem))
