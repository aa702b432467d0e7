"""The systems' domain services: commit an instance's data, or look at what a commit would write."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from maestro.platform.apicore import ApiCore
from maestro.platform.errors import RefusalError, SiblingError, SiblingRefused, WrongShapeError
from maestro.platform.pages import Page, PageReader
from maestro.platform.rows import FootprintReader
from maestro.platform.target import Target, address
from maestro.platform.transport import CallName, Transport, shown
from maestro.reprocessing.ledger import Footprint

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_COMMIT: Final = CallName("domain", "commit")
_ENTITIES: Final = CallName("domain", "entities")
_ENTITY_LIST: Final = msgspec.json.Decoder(list[dict[str, Any]])
#: As a word (also within a snake_case one), so that no "token" or "broken" passes for it.
_OK: Final = re.compile(rb"(?<![A-Za-z0-9])ok(?![A-Za-z0-9])")


class _Reader(Protocol[T_co]):
    """Takes an answer part by part."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> T_co:
        """Return what all of them say."""


class Domain:
    """Client of every system's domain service; asks API core where each is and remembers it until a call fails."""

    def __init__(self, transport: Transport, apicore: ApiCore, url_template: str) -> None:
        self._transport = transport
        self._apicore = apicore
        self._url_template = url_template
        self._addresses: dict[str, Target] = {}

    def commit(self, system_id: str, instance_id: str) -> Awaitable[None]:
        """Persist the instance's data.

        Raises:
            SiblingUnreachable: no usable answer, of API core or Domain; it may be committed all the same.
            SiblingRefused: Domain answered 4xx or without its `ok`, or the system has no domain.
        """
        return self._call(_COMMIT, "POST", (system_id, instance_id, "persist"), _committed)

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


def _committed(answer: bytes) -> None:
    if answer.lstrip().startswith(b"<"):
        raise WrongShapeError(f"a page: {shown(answer)}")
    if not _OK.search(answer):
        raise RefusalError(f"it did not say ok but: {shown(answer)}")
