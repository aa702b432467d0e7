"""What the actors' side raises to its callers."""

from pathlib import Path


class UnknownSystem(LookupError):  # noqa: N818 - named for what it is, as the gateway says it
    """No system of this id is served."""

    def __init__(self, system_id: str) -> None:
        super().__init__(f"system {system_id!r} is not known")
        self.system_id = system_id


class Unavailable(RuntimeError):  # noqa: N818 - as above
    """The actors cannot be reached at the moment; trying again later may help.

    `retry_after`: in so many seconds, if that is known.
    """

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AlreadyRunning(RuntimeError):  # noqa: N818 - as above
    """Another Maestro runs on this data folder."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"another Maestro is running on this data folder (pid {pid})")
        self.pid = pid


class FolderUnusable(RuntimeError):  # noqa: N818 - as above
    """The data folder cannot be made, or nothing can be written there."""

    def __init__(self, folder: Path, problem: OSError) -> None:
        super().__init__(f"data_dir {folder.absolute()} cannot be used: {problem.strerror}")


class ActorsFailed(RuntimeError):  # noqa: N818 - as above
    """The actor system did not come up; the log and `thespian.log` in the data folder say why."""
