"""What stands between a request and its handler: authentication, audit log, remembered answers; `serve` opens them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from maestro import logs
from maestro.access.audit import REFUSED_BYTES, REFUSED_FILES, AuditError, AuditLog, Entry, Recorder
from maestro.access.tokens import TokenFile
from maestro.access.verifier import Verifier
from maestro.http.authentication import Authentication
from maestro.http.hosts import own_names
from maestro.http.idempotency import Replays, StoredReplays
from maestro.settings.access import AccessSettings, OidcSettings
from maestro.settings.model import HttpSettings, Settings
from maestro.store.door import open_gateway_store
from maestro.store.memory import MemoryStore

if TYPE_CHECKING:
    from maestro.access.oidc import Oidc


@dataclass(frozen=True, slots=True)
class Guards:
    """All that stands between a request and its handler."""

    authentication: Authentication
    replays: Replays
    #: None: nothing is recorded (tests and tools that serve the gateway without a data folder).
    audit: Recorder | None = None
    #: Where refused attempts are recorded; None: nowhere.
    refused: Recorder | None = None

    async def record(self, entry: Entry) -> None:
        """Put what was done into the audit log; what it cannot take stands in the log of the process."""
        if self.audit is None:
            return
        try:
            await self.audit.record(entry)
        except AuditError as error:
            # It is decided already, and the answer says so; nothing more is decided until the log can be written.
            logs.get(part="audit").critical("audit.not_written", cause=str(error), **msgspec.to_builtins(entry))


def unguarded(http: HttpSettings) -> Guards:
    """Return guards that let everybody in and keep nothing: for a gateway without a data folder."""
    return Guards(Authentication(AccessSettings(), http, None), StoredReplays(MemoryStore()))


@asynccontextmanager
async def guarding(settings: Settings) -> AsyncIterator[Guards]:
    """Open the guards of an installation while the context is open.

    Raises:
        StoreError: the store of remembered answers cannot be opened.
        AuditError: the audit log cannot be continued.
        TokenError: the tokens cannot be read.
    """
    access = settings.access
    async with AsyncExitStack() as stack:
        url = settings.store.url.get_secret_value()
        kept = await stack.enter_async_context(_shared(settings) if url else _own(settings))
        verifier = None
        if access.enabled:
            tokens = TokenFile(settings.data_dir)
            verifier = Verifier(tokens, access.recheck, _oidc(access.oidc))
            if not tokens.entries() and not access.oidc.issuer:
                logs.get(part="access").warning("access.no_tokens", hint="maestro token add")
        authentication = Authentication(access, settings.http, verifier, own_names(settings.http))
        yield Guards(authentication, kept.replays, kept.audit, kept.refused)


class _Kept(NamedTuple):
    replays: Replays
    audit: Recorder
    refused: Recorder


@asynccontextmanager
async def _own(settings: Settings) -> AsyncIterator[_Kept]:
    """Keep all of it in the data folder."""
    access, folder = settings.access, settings.data_dir / "audit"
    async with AsyncExitStack() as stack:
        store = open_gateway_store(settings.data_dir)
        stack.callback(store.close)
        audit = AuditLog(folder, access.audit_file_bytes, access.audit_files)
        stack.push_async_callback(audit.close)
        refused = AuditLog(folder / "refused", min(access.audit_file_bytes, REFUSED_BYTES), REFUSED_FILES)
        stack.push_async_callback(refused.close)
        yield _Kept(StoredReplays(store), audit, refused)


@asynccontextmanager
async def _shared(settings: Settings) -> AsyncIterator[_Kept]:
    """Keep all of it in PostgreSQL, where the stores are: other nodes know it as well."""
    # They need the extra `postgresql`.
    from maestro.access.shared_audit import DECISIONS, REFUSED, SharedAuditLog  # noqa: PLC0415
    from maestro.access.shared_tokens import SharedTokens  # noqa: PLC0415
    from maestro.http.shared_replays import SharedReplays  # noqa: PLC0415
    from maestro.store.postgres.gateway import GatewayTables  # noqa: PLC0415

    access, url = settings.access, settings.store.url.get_secret_value()
    async with AsyncExitStack() as stack:
        tables = GatewayTables(url, settings.store.timeout)
        stack.push_async_callback(tables.close)
        tokens = SharedTokens(tables)
        await tokens.begin(settings.data_dir)
        following = asyncio.create_task(tokens.follow(settings.data_dir), name="tokens")
        stack.push_async_callback(_ended, following)
        audit = SharedAuditLog(tables, DECISIONS, access.audit_file_bytes, access.audit_files)
        stack.push_async_callback(audit.close)
        size = min(access.audit_file_bytes, REFUSED_BYTES)
        refused = SharedAuditLog(tables, REFUSED, size, REFUSED_FILES)
        stack.push_async_callback(refused.close)
        yield _Kept(SharedReplays(tables), audit, refused)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _oidc(settings: OidcSettings) -> "Oidc | None":
    if not settings.issuer:
        return None
    from maestro.access.oidc import Oidc  # noqa: PLC0415 - 11 MB that few installations need

    return Oidc(settings)
