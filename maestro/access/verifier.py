"""Tells whom a credential stands for: from memory in microseconds, verified at first sight.

The memory holds keyed hashes of credentials, never the credentials. It is forgotten when the token file changes,
which is looked at once a second: a revoked token ends within seconds.
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
#: Verifications at once: each takes a core for tens of milliseconds.
AT_ONCE: Final = 2


class Refused(Exception):  # noqa: N818 - it says what became of the credential
    """The credential is not valid; the message says why, without quoting it."""


class PeopleVerifier(Protocol):
    """Verifies credentials that are no tokens of ours (`oidc.Oidc`)."""

    async def verify(self, credential: str) -> Principal:
        """Return whom it stands for. Raises `Refused`."""


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
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._entries: dict[str, TokenEntry] = {}
        self._mark: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._places = asyncio.Semaphore(AT_ONCE)

    def known(self, credential: str) -> Principal | None:
        """Return whom a credential verified before stands for; None when it must be verified (again)."""
        now = self._clock()
        if now >= self._next_look or now < self._next_look - 2 * LOOK_EVERY:
            self._look(now)
        found = self._known.get(self._digest(credential))
        return found[0] if found is not None and now < found[1] else None

    async def verify(self, credential: str) -> Principal:
        """Return whom the credential stands for. Raises `Refused`."""
        known = self.known(credential)
        if known is not None:
            return known
        if len(credential) > MAX_CREDENTIAL:
            raise Refused("the credential is too long")
        id_ = token_id(credential)
        if id_ is not None:
            principal = await self._token(id_, credential)
        elif self._people is not None:
            principal = await self._people.verify(credential)
        else:
            raise Refused("the token is not known")
        self._remember(credential, principal)
        return principal

    async def _token(self, id_: str, credential: str) -> Principal:
        entry = self._entries.get(id_)
        if entry is None:
            raise Refused("the token is not known")
        async with self._places:
            fits = await asyncio.to_thread(matches, entry, credential)
        if not fits or self._entries.get(id_) != entry:
            raise Refused("the token is not known")
        if entry.expired(self._clock()):
            raise Refused("the token has expired")
        return entry.principal()

    def _remember(self, credential: str, principal: Principal) -> None:
        self._known[self._digest(credential)] = (principal, min(principal.expires, self._clock() + self._recheck))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _digest(self, credential: str) -> bytes:
        return hashlib.blake2b(credential.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def _look(self, now: float) -> None:
        """Read the token file if it changed; tokens that cannot be read are no tokens."""
        self._next_look = now + LOOK_EVERY
        mark = self._tokens.mark()
        if mark == self._mark:
            return
        try:
            entries = self._tokens.entries()
        except TokenError as problem:
            logs.get(part="access").error("access.tokens_unreadable", cause=str(problem))
            entries = []
        self._entries = {entry.id: entry for entry in entries}
        self._known.clear()
        self._mark = mark
