"""A document is mirrored as it is stored: it may change while it is prepared, and while the store is waited for."""

from typing import Any

from maestro.rules.document import Document
from maestro.settings.model import PlatformSettings
from maestro.store.memory import MemoryStore
from maestro.system.mirror import DocumentMirror


class Parts:
    """What of an engine and of the siblings a mirror needs: a document that changes whenever it is waited for."""

    def __init__(self) -> None:
        self.state = self.committed = self.stored = 0
        #: What was told, and what the store had by then.
        self.told: list[tuple[int, int]] = []
        self.id = "sysA"
        self.documents = {"d1": Document("d1", "sysA", 1, "t", "master", False, "i1", b"{}", b"{}")}  # noqa: FBT003
        self.machine = self.system = self.process_memory = self

    async def prepare(self, _doc: Document) -> None:
        self.state += 1

    def store(self) -> None:
        self.committed = self.state

    async def settled(self) -> None:
        self.stored = self.committed
        self.state += 1

    def rendered(self, _doc: Document) -> bytes:
        return b"%d" % self.state

    def write_later(self, _writes: object) -> None: ...

    async def save_document(self, _id: str, body: bytes) -> None:
        self.told.append((int(body), self.stored))


async def test_the_store_has_what_is_mirrored_though_it_changes_all_the_while() -> None:
    it: Any = Parts()
    mirror = DocumentMirror(it, MemoryStore(), it, PlatformSettings())
    mirror.changed("d1")
    await mirror._mirror("d1")
    assert it.told == [(1, 1)]
    assert not mirror.busy
