"""A system: its state, its lock, what runs, and what its store holds."""

from msgspec import Raw, Struct

from maestro.client.shapes.documents import Progress


class CopiedStore(Struct, frozen=True, rename="camel"):
    """A copy of a store, in the folder of the stores."""

    file: str


class StorePage(Struct, frozen=True, rename="camel"):
    """What a system's store holds: its tables, or documents by key."""

    tables: dict[str, int] = {}
    documents: dict[str, Raw] = {}
    next: str | None = None


class Lock(Struct, frozen=True, rename="camel"):
    """Why the platform may not proceed."""

    reprocessing: str = ""
    reason: str = ""
    since: str = ""


class Running(Struct, frozen=True, rename="camel"):
    """The reprocessing that runs or is paused."""

    id: str
    status: str = ""
    progress: Progress = Progress()
    pausing: bool = False
    cancelling: bool = False


class Stall(Struct, frozen=True, rename="camel"):
    """What a system waits for."""

    sibling: str
    cause: str = ""
    since: str = ""


class System(Struct, frozen=True, rename="camel"):
    """A system; one that does not answer has the state `unavailable` and a `message`."""

    id: str
    state: str = ""
    message: str = ""
    lock: Lock | None = None
    stalled: Stall | None = None
    #: Commits in doubt that a person must resolve.
    doubts: int = 0
    pending: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    running: Running | None = None
    waiting: int = 0
    inbox: int = 0
    #: Ready messages of each queue (-1: it is missing); None: the broker is out of reach.
    queues: dict[str, int] | None = None
    #: What keeps the broker from its work, for all systems; empty when nothing does.
    broker: str = ""
    #: In a cluster, the node that owns it; empty while none is known to.
    node: str = ""

    @property
    def failed(self) -> int | None:
        """Events on the error queue; None: not known."""
        number = (self.queues or {}).get(f"persist.{self.id}.queue.error", -1)
        return None if number < 0 else number


class Health(Struct, frozen=True, rename="camel"):
    """Alive, or ready."""

    status: str


class Seen(Struct, frozen=True, rename="camel"):
    """What a watcher of a system sees: the system, and the document that is at stake."""

    system: System
    #: A `Document`, or null.
    document: Raw = Raw(b"null")
