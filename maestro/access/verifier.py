"""Tells whom a credential stands for: from memory in microseconds, verified at first sight.

The memory holds keyed hashes of credentials, never the credentials. A token that was verified stays known for as long
as its entry in the token file is the same; the file is looked at once a second, so a revoked token ends within seconds,
and a change of one entry forgets no other. A credential is verified once, however many requests wait for it.
"""

import asyncio
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from maestro import logs
from maestro.access.roles import Principal
from maestro.access.tokens import TokenEntry, TokenError, TokenFile, matches, token_id

#: Longest credential looked at, in characters: more than any signed token of a sane issuer.
MAX_CREDENTIAL: Final = 8192
#: Verified credentials remembered.
REMEMBERED: Final = 4096
#: Seconds between two looks at the token file.
LOOK_EVERY: Final = 1.0
#: Verifications of tokens at once: each takes a core for tens of milliseconds.
AT_ONCE: Final = 2
#: Verifications that wait or run: for one token's id, and in all.
WAITING_PER_TOKEN, WAITING = 8, 1024
#: Seconds that one verification of a token takes at least where its sender has failed too often: a core is not lost
#: to who knows a token's id and guesses its secret, and the token's holder is only slowed down, at first sight.
SLOW: Final = 0.25


class Refused(Exception):  # noqa: N818 - it says what became of the credential
    """The credential is not valid; the message says why, without quoting it."""


class Undecided(Exception):  # noqa: N818 - as above
    """Nobody can tell now whether the credential is valid; the message says why."""


class Busy(Undecided):
    """Too many credentials wait to be verified."""


class PeopleVerifier(Protocol):
    """Verifies credentials that are no tokens of ours (`oidc.Oidc`)."""

    async def verify(self, credential: str) -> Principal:
        """Return whom it stands for. Raises `Refused`, `Undecided`."""


class _Turns:
    """The verifications of one token's id: one at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.inside = 0


class Verifier:
    """Verifies bearer credentials."""

    def __init__(
        self,
        tokens: TokenFile,
        recheck: float,
        people: PeopleVerifier | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._recheck = recheck
        self._people = people
        self._clock = clock
        self._key = os.urandom(32)
        #: Whom a verified credential stands for, until when, and by which entry of the token file.
        self._known: OrderedDict[bytes, tuple[Principal, float, TokenEntry | None]] = OrderedDict()
        self._entries: dict[str, TokenEntry] = {}
        #: The mark of the file that was read; that of one which could not be, and of which the log was told.
        self._mark: tuple[int, int, int] | None = None
        self._unreadable: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._places = asyncio.Semaphore(AT_ONCE)
        self._turns: dict[str, _Turns] = {}
        self._under_way: dict[bytes, asyncio.Task[Principal]] = {}

    def known(self, credential: str) -> Principal | None:
        """Return whom a credential verified before stands for; None when it must be verified (again)."""
        now = self._clock()
        if now >= self._next_look or now < self._next_look - 2 * LOOK_EVERY:
            self._look(now)
        found = self._known.get(self._digest(credential))
        if found is None:
            return None
        principal, until, entry = found
        if now >= until or (entry is not None and self._entries.get(entry.id) != entry):
            return None
        return principal

    async def verify(self, credential: str, *, slowly: bool = False) -> Principal:
        """Return whom the credential stands for. `slowly`: its sender has failed too often lately.

        Raises:
            Refused: it is not valid.
            Undecided: nobody can tell now.
        """
        known = self.known(credential)
        if known is not None:
            return known
        if len(credential) > MAX_CREDENTIAL:
            raise Refused("the credential is too long")
        digest = self._digest(credential)
        task = self._under_way.get(digest)
        if task is None:
            if len(self._under_way) >= WAITING:
                raise Busy("too many credentials wait to be verified")
            task = asyncio.create_task(self._verified(credential, digest, slowly=slowly), name="verify a credential")
            self._under_way[digest] = task
            task.add_done_callback(lambda done: self._ended(digest, done))
        # One who goes away must not take the verification from the others who wait for it.
        return await asyncio.shield(task)

    def _ended(self, digest: bytes, done: "asyncio.Task[Principal]") -> None:
        self._under_way.pop(digest, None)
        if not done.cancelled():
            done.exception()  # retrieved, although everybody who waited may have gone away

    async def _verified(self, credential: str, digest: bytes, *, slowly: bool) -> Principal:
        id_ = token_id(credential)
        if id_ is not None:
            entry = await self._token(id_, credential, slowly=slowly)
            self._remember(digest, entry.principal(), float("inf") if entry.expires is None else entry.expires, entry)
            return entry.principal()
        if self._people is None:
            raise Refused("the token is not known")
        principal = await self._people.verify(credential)
        self._remember(digest, principal, min(principal.expires, self._clock() + self._recheck), None)
        return principal

    async def _token(self, id_: str, credential: str, *, slowly: bool) -> TokenEntry:
        entry = self._entries.get(id_)
        if entry is None:
            raise Refused("the token is not known")
        turns = self._turns.setdefault(id_, _Turns())
        if turns.inside >= WAITING_PER_TOKEN:
            raise Busy("too many credentials with this token's id wait to be verified")
        turns.inside += 1
        try:
            async with turns.lock:
                async with self._places:
                    fits = await asyncio.to_thread(matches, entry, credential)
                if slowly and not fits:
                    await asyncio.sleep(SLOW)
        finally:
            turns.inside -= 1
            if not turns.inside:
                self._turns.pop(id_, None)
        if not fits or self._entries.get(id_) != entry:
            raise Refused("the token is not known")
        if entry.expired(self._clock()):
            raise Refused("the token has expired")
        return entry

    def _remember(self, digest: bytes, principal: Principal, until: float, entry: TokenEntry | None) -> None:
        self._known[digest] = (principal, until, entry)
        self._known.move_to_end(digest)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _digest(self, credential: str) -> bytes:
        return hashlib.blake2b(credential.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def _look(self, now: float) -> None:
        """Read the token file if it changed; tokens that cannot be read are no tokens, until a look reads them."""
        self._next_look = now + LOOK_EVERY
        mark = self._tokens.mark()
        if mark == self._mark:
            return
        try:
            entries = self._tokens.entries()
        except TokenError as problem:
            if mark != self._unreadable:
                logs.get(part="access").error("access.tokens_unreadable", cause=str(problem))
            self._entries, self._mark, self._unreadable = {}, None, mark
            return
        self._entries = {entry.id: entry for entry in entries}
        self._mark, self._unreadable = mark, None
