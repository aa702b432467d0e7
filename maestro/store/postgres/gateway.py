"""What the gateways of an installation share in PostgreSQL: tokens, answers under an idempotency key, the audit log.

Each step is one statement, and one that depends on what was read says so: it changes nothing when another node was
quicker. What rows mean is their users' affair (`maestro.access`, `maestro.http`).
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from maestro.store.base import StoreAway
from maestro.store.postgres import schema
from maestro.store.postgres.connection import connect
from maestro.store.postgres.line import Line

_TOKENS_VERSION: Final = "SELECT coalesce(max(version), 0) FROM maestro.tokens"
_TOKENS: Final = "SELECT version, body FROM maestro.tokens"
_PUT_TOKENS: Final = """
    INSERT INTO maestro.tokens (one, version, body) SELECT true, 1, %s::bytea WHERE %s::bigint = 0
    ON CONFLICT (one) DO NOTHING RETURNING version
"""
_CHANGE_TOKENS: Final = (
    "UPDATE maestro.tokens SET version = version + 1, body = %s WHERE version = %s RETURNING version"
)

#: An answer is `status` 0 while its request is under way. The database's clock is the only one that counts.
_CLAIM_ANSWER: Final = """
    INSERT INTO maestro.answers (id, owner, at, claim, fingerprint, status, system, type, body)
    VALUES (%s, %s, now(), %s, %s, 0, '', '', '')
    ON CONFLICT (id) DO UPDATE SET
        owner = excluded.owner, at = excluded.at, claim = excluded.claim, fingerprint = excluded.fingerprint,
        status = 0, system = '', type = '', body = ''
    WHERE answers.at < now() - make_interval(secs => CASE answers.status WHEN 0 THEN %s ELSE %s END)
    RETURNING id
"""
_ANSWER: Final = "SELECT fingerprint, status, system, type, body FROM maestro.answers WHERE id = %s"
_KEEP_ANSWER: Final = """
    UPDATE maestro.answers SET at = now(), status = %s, system = %s, type = %s, body = %s
    WHERE id = %s AND claim = %s AND status = 0
"""
_DROP_ANSWER: Final = "DELETE FROM maestro.answers WHERE id = %s AND claim = %s AND status = 0"
_TRIM_ANSWERS: Final = """
    DELETE FROM maestro.answers WHERE id IN (
        SELECT id FROM (
            SELECT id, at, row_number() OVER (PARTITION BY owner ORDER BY at DESC) AS own,
                   row_number() OVER (ORDER BY at DESC) AS nth, sum(length(body)) OVER (ORDER BY at DESC) AS bytes
            FROM maestro.answers WHERE status <> 0
        ) AS kept
        WHERE at < now() - make_interval(secs => %s) OR own > %s OR nth > %s OR bytes > %s
    )
"""

_HEAD: Final = "SELECT number, hash, bytes FROM maestro.audit_heads WHERE log = %s"
_BEGIN_LOG: Final = """
    INSERT INTO maestro.audit_heads (log, number, hash, bytes) VALUES (%s, 0, %s, 0) ON CONFLICT (log) DO NOTHING
"""
_APPEND: Final = """
    WITH head AS (
        UPDATE maestro.audit_heads
        SET number = %s, hash = %s, bytes = bytes + %s - coalesce(
            (SELECT sum(length(line)) FROM maestro.audit WHERE audit.log = audit_heads.log AND audit.number <= %s), 0
        )
        WHERE log = %s AND number = %s AND hash = %s
        RETURNING log
    ), gone AS (
        DELETE FROM maestro.audit USING head WHERE audit.log = head.log AND audit.number <= %s
    ), put AS (
        INSERT INTO maestro.audit (log, number, line)
        SELECT head.log, p.number, p.line FROM head, unnest(%s::bigint[], %s::bytea[]) AS p (number, line)
    )
    SELECT count(*) FROM head
"""
_LINES: Final = "SELECT number, line FROM maestro.audit WHERE log = %s AND number > %s ORDER BY number LIMIT %s"
#: The last line that goes when the newest ones of so many bytes stay.
_CUT: Final = """
    SELECT number, line FROM (
        SELECT number, line, sum(length(line)) OVER (ORDER BY number DESC) AS bytes FROM maestro.audit WHERE log = %s
    ) AS sized WHERE bytes > %s ORDER BY number DESC LIMIT 1
"""


class StoredAnswer(NamedTuple):
    """What was answered to a request; `status` 0: it is under way."""

    fingerprint: str
    status: int
    system: str
    type: str
    body: bytes


class Head(NamedTuple):
    """Number and hash of the last line of an audit log, and the bytes of its lines."""

    number: int
    hash: str
    bytes: int


class GatewayTables:
    """The tables, over one connection. `seconds`: how long each statement has. All raise `StoreAway`, `StoreError`."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._line = Line(url, seconds)

    async def make(self) -> None:
        """Have the schema there, and of this version."""
        connection = await connect(self._url, self._seconds)
        try:
            await schema.migrate(connection, self._seconds)
            await schema.check(connection, self._seconds)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._line.close()

    # --- tokens ---------------------------------------------------------------------------------------------------

    async def tokens_version(self) -> int:
        """Return what changes with every change of the tokens; 0: there are none yet."""
        return int((await self._line.execute(_TOKENS_VERSION))[0][0])

    async def tokens(self) -> tuple[int, bytes]:
        """Return the version and the tokens."""
        found = await self._line.execute(_TOKENS)
        return (found[0][0], bytes(found[0][1])) if found else (0, b"")

    async def put_tokens(self, version: int, body: bytes) -> bool:
        """Replace the tokens of that version; return whether they were still of it."""
        if not version:
            return bool(await self._line.execute(_PUT_TOKENS, (body, version)))
        return bool(await self._line.execute(_CHANGE_TOKENS, (body, version)))

    # --- answers --------------------------------------------------------------------------------------------------

    async def claim_answer(
        self, id_: str, owner: str, claim: str, fingerprint: str, abandoned: float, kept_for: float
    ) -> StoredAnswer | None:
        """Begin a request; return what there is of an earlier one of this id; None: this is the first.

        What is under way counts for `abandoned` seconds, an answer for `kept_for`.
        """
        given = (id_, owner, claim, fingerprint, abandoned, kept_for)
        for _ in range(3):  # what stood in the way may be gone in the next moment
            if await self._line.execute(_CLAIM_ANSWER, given):
                return None
            if found := await self._line.execute(_ANSWER, (id_,)):
                return StoredAnswer(*found[0])
        raise StoreAway("PostgreSQL: others use the same idempotency key at the same time")

    async def keep_answer(self, id_: str, claim: str, answer: StoredAnswer) -> None:
        """Keep what was answered, if the request is still this claim's."""
        given = (answer.status, answer.system, answer.type, answer.body, id_, claim)
        await self._line.execute(_KEEP_ANSWER, given)

    async def drop_answer(self, id_: str, claim: str) -> None:
        """Forget that a request was begun."""
        await self._line.execute(_DROP_ANSWER, (id_, claim))

    async def trim_answers(self, kept_for: float, per_owner: int, in_all: int, size: int) -> None:
        """Forget answers beyond these bounds, the oldest first."""
        await self._line.execute(_TRIM_ANSWERS, (kept_for, per_owner, in_all, size))

    # --- audit ----------------------------------------------------------------------------------------------------

    async def head(self, log: str, genesis: str) -> Head:
        """Return where a log ends; one that is not there begins with the hash `genesis`."""
        if not (found := await self._line.execute(_HEAD, (log,))):
            await self._line.execute(_BEGIN_LOG, (log, genesis))
            found = await self._line.execute(_HEAD, (log,))
        return Head(*found[0])

    async def append(self, log: str, before: Head, after: Head, lines: Sequence[bytes], cut: int = 0) -> bool:
        """Append lines to a log that ends with `before`, and remove those up to number `cut`; return whether it did."""
        numbers = list(range(before.number + 1, after.number + 1))
        size = sum(map(len, lines))
        given: tuple[Any, ...] = (
            after.number, after.hash, size, cut, log, before.number, before.hash, cut, numbers, list(lines),
        )  # fmt: skip
        ((done,),) = await self._line.execute(_APPEND, given)
        return bool(done)

    async def lines(self, log: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return up to so many lines numbered above `after`, oldest first."""
        return [(number, bytes(line)) for number, line in await self._line.execute(_LINES, (log, after, limit))]

    async def cut(self, log: str, size: int) -> tuple[int, bytes] | None:
        """Return the last line that is removed when lines of `size` bytes stay; None: all stay."""
        found = await self._line.execute(_CUT, (log, size))
        return (found[0][0], bytes(found[0][1])) if found else None
