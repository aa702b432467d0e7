"""Which node owns which system, as it was read of the database last: what this knows is where to ask, never the truth.

Whom it names may have lost the system since. The node that is asked says so, and its commits are fenced.
"""

from collections.abc import Callable, Mapping


class Owners:
    """The nodes that live, and whose each system is. Its owner keeps it up to date with `see`.

    Args:
        look: called when what is known turned out to be old: the database is to be read again soon.
    """

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self.look = look
        self._urls: Mapping[str, str] = {}
        self._owners: Mapping[str, str] = {}
        self._sorted: tuple[str, ...] = ()
        #: Whether the database was read once: before that nothing is known, which is not the same as no system.
        self.seen = False

    def see(self, urls: Mapping[str, str], owners: Mapping[str, str]) -> None:
        """Take what was read: the URL of each node's gateway, and each system's owner; empty: nobody owns it."""
        if owners.keys() != self._owners.keys():
            self._sorted = tuple(sorted(owners))
        self._urls, self._owners, self.seen = urls, owners, True

    def systems(self) -> tuple[str, ...]:
        """Return the ids of all systems of the cluster, sorted."""
        return self._sorted

    def knows(self, system_id: str) -> bool:
        """Whether it is a system of the cluster."""
        return system_id in self._owners

    def of(self, system_id: str) -> str:
        """Return the node that owns a system; empty: nobody, or it is not known."""
        return self._owners.get(system_id, "")

    def url(self, node: str) -> str:
        """Return the URL of a node's gateway; empty: there is no such node."""
        return self._urls.get(node, "")

    @property
    def nodes(self) -> Mapping[str, str]:
        """The URL of each node's gateway."""
        return self._urls
