"""A document is mirrored as it is stored: it may change while a large one is prepared, so the store is asked last."""

from typing import Any

from maestro.rules.document import Document
from maestro.settings.model import PlatformSettings
from maestro.store.memory import MemoryStore
from maestro.system.mirror import DocumentMirror


class Parts:
    """What of an engine and of the siblings a mirror needs; keeps the order of what it does."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.id = "sysA"
        self.documents = {"d1": Document("d1", "sysA", 1, "t", "master", False, "i1", b"{}", b"{}")}  # noqa: FBT003
        self.machine = self.system = self.process_memory = self

    async def prepare(self, _doc: Document) -> None:
        self.order.append("prepare")

    async def settled(self) -> None:
        self.order.append("settled")

    def rendered(self, _doc: Document) -> bytes:
        self.order.append("rendered")
        return b"{}"

    def write_later(self, _writes: object) -> None: ...

    async def save_document(self, id_: str, body: bytes) -> None:
        self.order.append(f"{id_} {body.decode()}")


async def test_the_store_has_what_is_mirrored_though_it_changed_while_it_was_prepared() -> None:
    it: Any = Parts()
    mirror = DocumentMirror(it, MemoryStore(), it, PlatformSettings())
    mirror.changed("d1")
    await mirror._mirror("d1")
    assert it.order == ["prepare", "settled", "rendered", "d1 {}"]
    assert not mirror.busy
