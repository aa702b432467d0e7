"""A gateway with access control on, over the fake actor_client: tokens of every kind, and a client that sends them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maestro.access import audit_reader
from maestro.access.private_file import private_folder
from maestro.access.roles import Role
from maestro.access.tokens import TokenFile
from maestro.access.verifier import Verifier
from maestro.http.app import create_app
from maestro.http.authentication import Authentication
from maestro.http.cluster_view import ClusterView
from maestro.http.guards import guarding
from maestro.http.server import serve_http
from maestro.settings.access import AccessSettings
from maestro.settings.model import HttpSettings, Settings
from maestro.whole_file import replace
from tests.unit.http.conftest import SETTINGS, Client, Reply
from tests.unit.http.fake_actor_client import FakeActorClient, FakePages


@dataclass
class House:
    """The gateway, and who holds which token."""

    client: Client
    actor_client: FakeActorClient
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)
    authentication: Authentication | None = None

    @property
    def verifier(self) -> Verifier:
        assert self.authentication is not None
        assert self.authentication._verifier is not None
        return self.authentication._verifier

    @property
    def file(self) -> TokenFile:
        return TokenFile(self.folder)

    async def call(self, who: str | None, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(who, who)}"
        return await self.client.call(method, target, body, **headers)

    def refused(self) -> list[dict[str, Any]]:
        audit_reader.verify(self.folder / "audit" / "refused")
        return list(audit_reader.lines(self.folder / "audit" / "refused"))

    def audit(self) -> list[dict[str, Any]]:
        audit_reader.verify(self.folder / "audit")
        return list(audit_reader.lines(self.folder / "audit"))


PEOPLE = {
    "root": (Role.ADMIN, ()),
    "ana": (Role.APPROVER, ()),
    "ben": (Role.APPROVER, ("sysB",)),
    "eve": (Role.VIEWER, ("sysA",)),
    "events": (Role.PLATFORM, ()),
    "restricted": (Role.ADMIN, ("sysB",)),
    "events-b": (Role.PLATFORM, ("sysB",)),
}


_made: list[tuple[dict[str, str], bytes]] = []


def hand_out(folder: Path) -> dict[str, str]:
    """Put the tokens of `PEOPLE` into a data folder. They are made once for all tests: hashing takes its time."""
    file = TokenFile(folder)
    if not _made:
        tokens = {name: file.add(name, role, systems) for name, (role, systems) in PEOPLE.items()}
        _made.append((tokens, file.path.read_bytes()))
    tokens, content = _made[0]
    private_folder(file.path.parent)
    replace(file.path, content, sync=True)
    return tokens


@asynccontextmanager
async def house(
    folder: Path,
    http: HttpSettings = SETTINGS,
    actor_client_of: type[FakeActorClient] = FakeActorClient,
    cluster: ClusterView | None = None,
    **access: Any,
) -> AsyncIterator[House]:
    """Open a guarded gateway with a token for each of `PEOPLE`."""
    settings = Settings(data_dir=folder, http=http, access=AccessSettings(enabled=True, **access))
    actor_client = actor_client_of("sysA", "sysB")
    tokens = hand_out(folder)
    async with (
        guarding(settings) as guards,
        serve_http(
            create_app(actor_client, http, guards=guards, entities=FakePages(), cluster=cluster), http
        ) as address,
    ):
        yield House(Client(address), actor_client, folder, tokens, guards.authentication)
