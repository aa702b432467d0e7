"""Why each unit is in a reprocessing, as people read it: who named it, and the rows that it read and that change."""

from collections.abc import Iterator
from typing import Final

from maestro.cli.naming import said_of
from maestro.cli.output import Output
from maestro.client.shapes.units import Evidence, FoundUnit
from maestro.language import mark, t, tn, told

#: Units that are explained at once: the gateway takes no more.
AT_ONCE: Final = 50
#: Rows of one unit that are shown.
_ROWS: Final = 3
_NAMED: Final = {
    "discovery": mark("named by Discovery"),
    "ledger": mark("named by the ledger"),
    "both": mark("named by Discovery and by the ledger"),
}


def print_evidence(out: Output, units: tuple[FoundUnit, ...], evidence: tuple[Evidence, ...]) -> None:
    """Print each unit, and below it why it is there."""
    known = {(one.instance_id, one.branch): one for one in evidence}
    for unit in units:
        where = t("{instance} on {branch}", instance=unit.instance_id, branch=unit.branch)
        out.say(f"{unit.position + 1}  {said_of(unit.name, unit.about)}, {where}")
        why = known.get((unit.instance_id, unit.branch))
        for line in _lines(why) if why else ():
            out.say(f"     {line}")


def _lines(why: Evidence) -> Iterator[str]:
    named = t(_NAMED.get(why.named, why.named))
    missed = tn("missed {n} commit", "missed {n} commits", len(why.missed))
    yield f"{named}; {missed}: {', '.join(why.missed[:_ROWS])}" if why.missed else named
    for row in why.read[:_ROWS]:
        said = (
            t(
                "read {type} {id} as {writer} had written it, which is changed",
                type=row.type,
                id=row.id,
                writer=row.version,
            )
            if row.version
            else t("read {type} {id}, which is changed", type=row.type, id=row.id)
        )
        yield said + (t(" (and writes it itself)") if row.wrote else "")
    if why.rows > len(why.read[:_ROWS]):
        yield tn("and {n} row more", "and {n} rows more", why.rows - len(why.read[:_ROWS]))
    if not why.rows and not why.problem:
        yield t("no row that it read is known to be changed")
    if why.adds_rows:
        yield tn(
            "its replay adds {n} row; that of the original stays",
            "its replay adds {n} rows; those of the original stay",
            why.adds_rows,
        )
    if why.problem:
        yield t("not known: {problem}", problem=told(why.problem))
