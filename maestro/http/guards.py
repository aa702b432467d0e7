"""What stands between a request and its handler: authentication, audit log, remembered answers; `serve` opens them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from maestro import logs
from maestro.access.audit import REFUSED_BYTES, REFUSED_FILES, AuditError, AuditLog, Entry
from maestro.access.tokens import TokenFile
from maestro.access.verifier import Verifier
from maestro.http.authentication import Authentication
from maestro.http.hosts import own_names
from maestro.http.idempotency import Replays
from maestro.settings.model import AccessSettings, HttpSettings, OidcSettings, Settings
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
    audit: AuditLog | None = None
    #: Where refused attempts are recorded; None: nowhere.
    refused: AuditLog | None = None

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
    return Guards(Authentication(AccessSettings(), http, None), Replays(MemoryStore()))


@asynccontextmanager
async def guarding(settings: Settings) -> AsyncIterator[Guards]:
    """Open the guards of an installation while the context is open.

    Raises:
        StoreError: the store of remembered answers cannot be opened.
        AuditError: the audit log cannot be continued.
    """
    access = settings.access
    async with AsyncExitStack() as stack:
        store = open_gateway_store(settings.data_dir)
        stack.callback(store.close)
        folder = settings.data_dir / "audit"
        audit = AuditLog(folder, access.audit_file_bytes, access.audit_files)
        stack.push_async_callback(audit.close)
        refused = AuditLog(folder / "refused", min(access.audit_file_bytes, REFUSED_BYTES), REFUSED_FILES)
        stack.push_async_callback(refused.close)
        verifier = None
        if access.enabled:
            tokens = TokenFile(settings.data_dir)
            verifier = Verifier(tokens, access.recheck, _oidc(access.oidc))
            if not tokens.entries() and not access.oidc.issuer:
                logs.get(part="access").warning("access.no_tokens", hint="maestro token add")
        authentication = Authentication(access, settings.http, verifier, own_names(settings.http))
        yield Guards(authentication, Replays(store), audit, refused)


def _oidc(settings: OidcSettings) -> "Oidc | None":
    if not settings.issuer:
        return None
    from maestro.access.oidc import Oidc  # noqa: PLC0415 - 11 MB that few installations need

    return Oidc(settings)
