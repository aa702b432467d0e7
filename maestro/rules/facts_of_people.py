"""What people decide and ask, and what is found for them: part of `facts`, which offers them all."""

from msgspec import Struct

from maestro.messages.decisions import UNLIMITED, Budget, Covers
from maestro.rules.impact import Impacted, Origin, UnitKey
from maestro.rules.unit import Unit


class DoubtResolved(Struct, frozen=True):
    """Somebody says what became of a commit in doubt: a `Word`."""

    key: str
    verdict: str
    user: str
    ticket: int
    reason: str = ""


class Approved(Struct, frozen=True):
    """Somebody asks to approve a pending reprocessing."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    #: The digest of the preview they saw; empty: whatever it is.
    digest: str = ""
    #: The units of that preview, where it is remembered.
    seen: tuple[UnitKey, ...] | None = None
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False
    covers: Covers | None = None


class Skipped(Struct, frozen=True):
    """Somebody asks to skip a pending reprocessing."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    covers: Covers | None = None
    #: The digest of the preview they saw; empty: whatever it is. The units of that preview, where it is remembered.
    digest: str = ""
    seen: tuple[UnitKey, ...] | None = None


class DecidersChecked(Struct, frozen=True):
    """Whether those whose decision covers a document's tag may still decide; `problem` says why not, if so."""

    id: str
    token: int
    problem: str


class Retried(Struct, frozen=True):
    """Somebody asks to run a failed, aborted or cancelled reprocessing again; `units` are its stored ones."""

    id: str
    user: str
    ticket: int
    units: tuple[Unit, ...]
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class Cancelled(Struct, frozen=True):
    """Somebody asks to cancel an approved, running or paused reprocessing."""

    id: str
    user: str
    ticket: int
    reason: str = ""


class PauseAsked(Struct, frozen=True):
    """Somebody asks a running reprocessing to pause after its current replay."""

    id: str
    user: str
    ticket: int
    reason: str = ""


class ResumeAsked(Struct, frozen=True):
    """Somebody asks a paused reprocessing to go on, as far as a new budget allows."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    budget: Budget = UNLIMITED
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class RecheckAsked(Struct, frozen=True):
    """Somebody wants Discovery asked again what a pending reprocessing would change."""

    id: str
    user: str
    ticket: int


class RecheckFound(Struct, frozen=True):
    """Discovery answered again."""

    id: str
    token: int
    units: tuple[Impacted, ...]
    #: As of `OriginsFetched`.
    rows: int | None = None


class RecheckOriginsFetched(Struct, frozen=True):
    """Origins of the units that Discovery did not name before."""

    id: str
    token: int
    origins: tuple[Origin, ...]


class RecheckFailed(Struct, frozen=True):
    """A sibling is out of reach or refused: what Discovery would say is not known."""

    id: str
    token: int
    cause: str


class ReconsiderAsked(Struct, frozen=True):
    """Somebody wants the event of a skipped reprocessing judged again."""

    id: str
    user: str
    ticket: int
    reason: str = ""
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False


class LeaveOutAsked(Struct, frozen=True):
    """Somebody wants outstanding units left out of a run that rests or was given up; `stored` are its stored units."""

    id: str
    user: str
    ticket: int
    units: tuple[UnitKey, ...]
    stored: tuple[Unit, ...] = ()
    reason: str = ""


class StatusSet(Struct, frozen=True):
    """Somebody overrides a status by hand."""

    id: str
    status: str
    user: str
    ticket: int
    reason: str = ""
    #: Id of the token of who asks; whether the token of the first of two approvals was revoked since.
    token: str = ""
    first_revoked: bool = False
