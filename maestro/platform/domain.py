"""The systems' domain services: commit an instance's data, or look at what a commit would write."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec

from maestro import logs
from maestro.platform.apicore import MAP, ApiCore
from maestro.platform.errors import RefusalError, SiblingError, SiblingRefused
from maestro.platform.observer import CallObserver
from maestro.platform.once import LostError, NotBegunError, OnceOnly
from maestro.platform.pages import Page, PageReader
from maestro.platform.rows import ChangesReader, FootprintReader
from maestro.platform.target import Target, address
from maestro.platform.transport import CallName, Leave, Transport, at_once, shown
from maestro.rules.doubt import CommitEnd
from maestro.rules.ledger import Footprint

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_COMMIT: Final = CallName("domain", "commit")
_ENTITIES: Final = CallName("domain", "entities")
_ROWS: Final = CallName("domain", "has_rows")
_ENTITY_LIST: Final = msgspec.json.Decoder(list[dict[str, Any]])
#: Those who stand between answer so when they heard nothing, or no longer wait: Domain may be at work all the same.
_IN_BETWEEN: Final = frozenset({408, 429, 499, 502, 503, 504})
#: Nothing is carried out there: the address is wrong, or the request too large.
_NO_ROUTE: Final = frozenset({404, 405, 413})
_ANSWERED: Final = frozenset({CommitEnd.REFUSED, CommitEnd.NO_ROUTE})
#: As a word (also within a snake_case one), so that no "token" or "broken" passes for it.
_OK: Final = re.compile(rb"(?<![A-Za-z0-9])ok(?![A-Za-z0-9])")


_ROW_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class CommitAnswer:
    """How one call of a commit ended, and for people why it is no success."""

    end: CommitEnd
    cause: str = ""


_MADE: Final = CommitAnswer(CommitEnd.MADE)


class _Reader(Protocol[T_co]):
    """Takes an answer part by part."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> T_co:
        """Return what all of them say."""


class Domain:
    """Client of every system's domain service; asks API core where each is and remembers it until a call fails.

    `leave` is awaited between that question and a commit: who had it before may have lost it meanwhile.
    """

    def __init__(
        self,
        transport: Transport,
        apicore: ApiCore,
        url_template: str,
        once: OnceOnly,
        observer: CallObserver,
        leave: Leave = at_once,
    ) -> None:
        self._transport = transport
        self._leave = leave
        self._once = once
        self._observer = observer
        self._log = logs.get(part="platform")
        self._apicore = apicore
        self._url_template = url_template
        self._addresses: dict[str, Target] = {}

    async def commit(self, system_id: str, instance_id: str) -> CommitAnswer:
        """Persist the instance's data: one call, never repeated, because it is not idempotent (semantics: The commit).

        Returns how it ended; raises nothing.
        """
        try:
            if (base := self._addresses.get(system_id)) is None:
                base = await self._locate(system_id)
                await self._leave()
        except SiblingError as problem:
            # API core says no for its own passing troubles, too; only a proper answer says that there is no domain.
            none = isinstance(problem.__cause__, RefusalError)
            return self._ended(CommitEnd.NO_DOMAIN if none else CommitEnd.NOT_BEGUN, str(problem))
        try:
            status, answer = await self._once.post(base.below("instance", instance_id, "persist"))
        except NotBegunError as problem:
            end = self._ended(CommitEnd.NOT_BEGUN, str(problem))
        except LostError as problem:
            end = self._ended(CommitEnd.LOST, str(problem))
        else:
            end = self._ended(*_meaning(status, answer))
        if end.end is not CommitEnd.MADE:
            self._addresses.pop(system_id, None)  # it may have moved: the next call asks again
        return end

    def _ended(self, end: CommitEnd, cause: str) -> CommitAnswer:
        if end is CommitEnd.MADE:
            self._observer.tried(_COMMIT.service, "ok")
            return _MADE
        self._observer.tried(_COMMIT.service, "refused" if end in _ANSWERED else "unreachable")
        self._log.warning("commit not confirmed", service=_COMMIT.service, end=str(end), cause=cause)
        return CommitAnswer(end, cause if cause.startswith("apicore.") else f"domain.commit: {cause}")

    def entities(
        self, system_id: str, instance_id: str, *, tries: int | None = None
    ) -> Awaitable[list[dict[str, Any]]]:
        """Return what the instance's commit would write, whole: for what is known to be little.

        `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer, of API core or Domain.
            SiblingRefused: Domain answered 4xx, or the system has no domain.
        """
        return self._call(_ENTITIES, "GET", (system_id, instance_id, "entities"), _ENTITY_LIST.decode, tries)

    def changes(self, system_id: str, instance_id: str) -> Awaitable[dict[str, set[str]]]:
        """Return what the instance's commit would do: by type of row, how it changes some; read as a stream. One try.

        Raises: as `entities`.
        """
        return self._entities(system_id, instance_id, ChangesReader, 1)

    async def has_rows(self, system_id: str, type_: str, instance_id: str) -> bool:
        """Return whether rows of a type, on any branch, carry the instance as who wrote them. One try.

        Raises:
            SiblingUnreachable: no usable answer, of API core or Domain.
            SiblingRefused: Domain answered 4xx: it does not know the map, or not yet.
        """
        base = self._addresses.get(system_id) or await self._locate(system_id)
        target = base.below(MAP, type_).asking(filter="byInstance", instance=instance_id).saying("Branch", "all")
        return bool(await self._transport.once(_ROWS, "GET", target, _ROW_LIST.decode))

    async def entities_page(
        self, system_id: str, instance_id: str, after: int, limit: int, *, tries: int | None = None
    ) -> Page:
        """Return a page of the rows that the instance's commit would write; the answer is never held whole.

        `after`: rows to leave out. `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer, of API core or Domain.
            SiblingRefused: Domain answered 4xx, or the system has no domain.
        """
        return await self._entities(system_id, instance_id, lambda: PageReader(after, limit), tries)

    async def footprint(self, system_id: str, instance_id: str, *, tries: int | None = None) -> Footprint:
        """Return which rows the instance's commit would change or destroy; the answer is never held whole.

        `tries` replaces the setting.

        Raises:
            SiblingUnreachable: no usable answer, of API core or Domain.
            SiblingRefused: Domain answered 4xx, or the system has no domain.
        """
        return await self._entities(system_id, instance_id, FootprintReader, tries)

    def _entities(
        self, system_id: str, instance_id: str, made: Callable[[], _Reader[T]], tries: int | None
    ) -> Awaitable[T]:
        """Return what a reader makes of the rows; each try gets a new one."""

        def attempt(base: Target) -> Awaitable[T]:
            reader = made()

            def decode(rest: bytes) -> T:
                reader.feed(rest)  # what came compressed
                return reader.end()

            target = base.below("instance", instance_id, "entities")
            return self._transport.once(_ENTITIES, "GET", target, decode, sink=reader.feed)

        return self._located(system_id, attempt, tries)

    def _call(
        self,
        name: CallName,
        method: str,
        where: tuple[str, str, str],
        decode: Callable[[bytes], T],
        tries: int | None = None,
    ) -> Awaitable[T]:
        system_id, instance_id, what = where

        def attempt(base: Target) -> Awaitable[T]:
            return self._transport.once(name, method, base.below("instance", instance_id, what), decode)

        return self._located(system_id, attempt, tries)

    def _located(self, system_id: str, call: Callable[[Target], Awaitable[T]], tries: int | None) -> Awaitable[T]:
        """Make a call to the system's domain, tried as `Transport.retried` says; its address is asked when needed."""

        async def attempt() -> T:
            base = self._addresses.get(system_id) or await self._locate(system_id)
            try:
                return await call(base)
            except SiblingError:
                # It may have moved: the next try asks again.
                self._addresses.pop(system_id, None)
                raise

        return self._transport.retried(attempt, tries)

    async def _locate(self, system_id: str) -> Target:
        # One try: it is part of a try of the call that needs it.
        where = await self._apicore.domain_address(system_id, tries=1)
        host = f"[{where.host}]" if ":" in where.host else where.host
        try:
            base = address(self._url_template.format(host=host, port=where.port))
        except ValueError as problem:
            raise SiblingRefused("apicore", "domain_address", str(problem)) from problem
        self._addresses[system_id] = base
        return base


def _meaning(status: int, answer: bytes) -> tuple[CommitEnd, str]:
    """Return what an answer says of the commit, and for people why it is no success."""
    said = shown(answer)
    if status < 300 and not answer.lstrip().startswith(b"<"):  # noqa: PLR2004 - the contracts' own limit
        return (CommitEnd.MADE, "") if _OK.search(answer) else (CommitEnd.REFUSED, f"it did not say ok but: {said}")
    cause = f"answered {status}: {said}" if said else f"answered {status}"
    if status in _NO_ROUTE:
        return CommitEnd.NO_ROUTE, cause
    # A page with 2xx, or a redirect, is from somebody in between.
    of_domain = status >= 400 and status not in _IN_BETWEEN  # noqa: PLR2004 - 4xx
    return (CommitEnd.REFUSED if of_domain else CommitEnd.LOST), cause
