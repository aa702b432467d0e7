"""What a held commit would write, as people read it: each row's fields before and after."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from maestro.cli.output import Output
from maestro.client.api import Maestro
from maestro.client.errors import ClientError
from maestro.client.shapes.documents import Document
from maestro.language import t, tn, told

#: Rows shown.
_ROWS: Final = 10
_CREATE: Final = "create"
_ID: Final = "id"


def print_commit(out: Output, maestro: Maestro, doc: Document) -> None:
    """Print the first rows that a document's commit would write, and how many more; or why that is not known."""
    out.say()
    try:
        page = maestro.entities(doc.id, _ROWS).value
    except ClientError as problem:
        out.say(t("what the commit would write is not known: {problem}", problem=told(str(problem))))
        return
    said = tn("the commit would write {n} row", "the commit would write {n} rows", page.total)
    out.say(said + (":" if page.entities else ""))
    if page.entities:
        out.table(("CHANGE", "TYPE", "SAME", "BEFORE", "AFTER"), map(row_cells, page.entities), "")
    if page.total > len(page.entities):
        out.say(t("and {n} more", n=page.total - len(page.entities)))


def row_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return change, type, the fields that stay, those that do not as they are, and as they would be."""
    about = _mapping(row.get("_metadata"))
    before = _mapping(row.get("before")) or _mapping(about.get("before"))
    change = str(about.get("changeTrack") or "write")
    # A row that is changed has its id beside its fields, where what it was has none: that is no change.
    named = bool(before) and change != _CREATE and _ID not in before
    after = {name: value for name, value in row.items() if _is_field(name) and not (named and name == _ID)}
    same = {name for name, value in after.items() if name in before and before[name] == value}
    told = _pairs(before, (name for name in before if _is_field(name) and name not in same))
    return (
        change,
        str(about.get("type") or "row"),
        _pairs(after, (name for name in after if name in same)) or "-",
        told or ("-" if change == _CREATE or before else t("not told")),
        _pairs(after, (name for name in after if name not in same)) or "-",
    )


def _is_field(name: str) -> bool:
    return not name.startswith("_") and name != "before"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(row: Mapping[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={_text(row[name])}" for name in names)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
