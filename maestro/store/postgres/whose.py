"""Whose the stores in PostgreSQL are: an installation's, a cluster's, or nobody's, since they are files again."""

from typing import Final, NamedTuple

from maestro.store.base import StoreLocked

#: Stands before an installation's id while its stores are brought back to its files, and once they were.
_MOVING: Final = "moving to files of "
_MOVED: Final = "moved to files of "
#: Stands there alone when an earlier version brought them back.
_MOVED_SOMEWHERE: Final = "moved to files"


def cluster_owner(name: str) -> str:
    """Return what the stores of a cluster belong to; empty without a cluster."""
    return name and f"cluster {name}"


def moving_to_files(installation_id: str) -> str:
    """Return what stands for an owner while the stores are brought back to the installation's files."""
    return f"{_MOVING}{installation_id}"


def moved_to_files(installation_id: str) -> str:
    """Return what stands for an owner once the stores were brought back to the installation's files."""
    return f"{_MOVED}{installation_id}"


def may_move(installation_id: str, cluster: str) -> list[str]:
    """Return the owners whose stores an installation may move. `cluster`: as `cluster_owner` says it."""
    own = [installation_id, moving_to_files(installation_id), moved_to_files(installation_id), _MOVED_SOMEWHERE]
    return [*own, cluster] if cluster else own


class Whose(NamedTuple):
    """The installation that the stores belong to: its id, the machine it ran on, and since when."""

    id: str
    #: With the data folder, where they are brought back to files.
    host: str
    since: str
    #: The start of it that may open stores; a cluster's id. While they are brought back to files: the former owner.
    run: str = ""

    @property
    def files_of(self) -> str:
        """The installation to whose files they were brought back; empty: they are in use here."""
        return self.id.removeprefix(_MOVED) if self.id.startswith(_MOVED) else ""

    @property
    def moving_to(self) -> str:
        """The installation to whose files they are being brought back; empty: they are not."""
        return self.id.removeprefix(_MOVING) if self.id.startswith(_MOVING) else ""

    @property
    def moved_somewhere(self) -> bool:
        """Whether an earlier version brought them back to files, and did not say to which."""
        return self.id == _MOVED_SOMEWHERE

    def refusal(self, ours: str) -> StoreLocked:
        """Return why another one may not use them."""
        if self.moving_to:
            return StoreLocked(
                f"PostgreSQL: a migration to files of installation {self.moving_to} at {self.host} began {self.since} "
                f"and has not ended: wait for it. When it broke off: run it again there, or maestro store claim"
            )
        if self.files_of:
            return StoreLocked(
                f"PostgreSQL: the stores were brought back to files of installation {self.files_of} at {self.host} "
                f"since {self.since}: start Maestro there, without store.url. When those files are lost for good: "
                f"maestro store claim, which goes on from that moment"
            )
        if self.moved_somewhere:
            return StoreLocked(
                f"PostgreSQL: an earlier version brought the stores back to files and did not say where; who used "
                f"them last was on {self.host} since {self.since}: start Maestro where the files are, without "
                f"store.url. When they are lost for good: maestro store claim, which goes on from that moment"
            )
        return StoreLocked(
            f"PostgreSQL: the stores belong to another installation: {self.id} on {self.host} since {self.since}; "
            f"this one is {ours}. When that one is stopped for good: maestro store claim"
        )


#: There is no row that says it.
UNKNOWN: Final = Whose("unknown", "unknown", "unknown")
