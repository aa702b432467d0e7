"""Units of reprocessings as rows of the store, and back."""

from operator import attrgetter
from typing import Any

from maestro.rules.impact import DISCOVERY
from maestro.rules.unit import LeftOut, Unit, UnitState

UNITS = "units"

_UNIT = ("turn", "instance_id", "branch", "forking", "timestamp", "state", "round", "sends", "first_send", "sent_at",
         "result_instance", "result_key", "reimpacted", "cause")  # fmt: skip
#: Written only when they say something.
_UNIT_OPTIONAL = ("done_at", "logged", "failures", "problem")
_UNIT_LISTS = ("missed", "former_results")
_UNIT_SELDOM = (*_UNIT_OPTIONAL, *_UNIT_LISTS)
#: One call each for all fields: a document may have thousands of units, which are saved in one step.
_common = attrgetter(*_UNIT)
_seldom = attrgetter(*_UNIT_SELDOM)


def unit_key(document_id: str, position: int) -> str:
    """Return the key of a unit's row: they sort by position."""
    return f"{document_id}/{position:08d}"


def unit_row(unit: Unit) -> dict[str, Any]:
    """Return the row of a unit."""
    row: dict[str, Any] = dict(zip(_UNIT, _common(unit), strict=True))
    row["origin"] = unit.origin.decode()
    seldom = _seldom(unit)
    if any(seldom):
        row |= {name: value for name, value in zip(_UNIT_SELDOM, seldom, strict=True) if value}
    if unit.state is UnitState.COMMITTING:
        row |= {"begun": unit.begun, "stored": unit.stored}
    if unit.named != DISCOVERY:
        row["named"] = unit.named
    if unit.left_out is not None:
        row["left_out"] = [unit.left_out.user, unit.left_out.at, unit.left_out.reason]
    return row


def to_unit(key: str, row: dict[str, Any]) -> Unit:
    """Return the unit that a row keeps."""
    state = UnitState(row["state"])
    fields = {name: row[name] for name in _UNIT} | {"state": state}
    fields |= {name: row[name] for name in (*_UNIT_OPTIONAL, "named", "stored") if name in row}
    fields |= {name: tuple(row.get(name, ())) for name in _UNIT_LISTS}
    # A row of an earlier version does not say whether the commit was begun: it may have been.
    fields["begun"] = row.get("begun", state is UnitState.COMMITTING)
    left_out = LeftOut(*row["left_out"]) if "left_out" in row else None
    return Unit(position=int(key.rpartition("/")[2]), origin=row["origin"].encode(), left_out=left_out, **fields)
