"""A report as one HTML page that needs nothing else: no script, no file, no address but links to nothing.

It is built as a tree, whose texts are escaped where it is written, never put together out of strings.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final
from xml.etree import ElementTree as ET

from maestro.language.tables import Table
from maestro.statuses import Status

_STYLE: Final = (resources.files("maestro.http.report") / "report.css").read_text("utf-8")
#: The page's own style, as a Content-Security-Policy names it.
STYLE_SOURCE: Final = f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
#: What the page may do, wherever it is opened: have that style.
_MAY: Final = f"default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; form-action 'none'"
POLICY: Final = f"{_MAY}; frame-ancestors 'none'"

#: What stands where there is nothing to say.
NOTHING: Final = "\N{EN DASH}"

Child = ET.Element | str | None
Cell = Child | Sequence[Child]
Facts = Mapping[str, Any]


def rendered(facts: Facts, words: Table, *, digest: str, made_at: float, made_for: str) -> bytes:
    """Return the page. `digest` is the facts'; `made_at` in seconds since the epoch; `made_for` may be empty."""
    asked = facts["asked"]
    heading = " · ".join(filter(None, (asked["event"] or asked["name"], asked["about"])))
    head = _e(
        "head",
        _e("meta", charset="utf-8"),
        # A page that was saved keeps to it, too.
        _e("meta", {"http-equiv": "Content-Security-Policy"}, content=_MAY),
        _e("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _e("meta", name="referrer", content="no-referrer"),
        _e("title", f"{words('title')} · {facts['system']} · {heading}"),
        _e("style", _STYLE),
    )
    main = _e(
        "main",
        _e("header", _e("p", words("title"), kind="over"), _e("h1", heading or facts["id"]), *_lead(facts, words)),
        _about_it(facts, words),
        _asked(asked, words),
        _shown(facts, words),
        _decided(facts["decided"], words),
        _ran(facts["ran"], words, late=facts["late"]),
        _changed(facts["changed"], words),
        _units(facts["units"], words),
        _about(words, digest, made_at, made_for),
    )
    html = _e("html", head, _e("body", main), lang=words.language)
    return ("<!DOCTYPE html>\n" + ET.tostring(html, "unicode", "html") + "\n").encode(errors="replace")


# --- the sections -----------------------------------------------------------------------------------------------


def _lead(facts: Facts, words: Table) -> Iterable[ET.Element]:
    """Say in a few sentences what happened."""
    n, pending = facts["shown"]["units"], facts["status"] == Status.PENDING
    key = "lead.late" if facts["late"] else "lead.pending" if pending else "lead.held"
    yield _e("p", words(key, n=n), kind="lead")
    if pending:
        return
    for entry in _turns(facts["decided"]["entries"]):
        said = words("lead.decided", user=entry["user"], status=_status(entry["status"], words), at=_time(entry["at"]))
        yield _e(
            "p", said, " ", words("lead.because", reason=entry["reason"]) if entry["reason"] else None, kind="lead"
        )
    replayed = facts["ran"]["replayed"]
    outcome = [words("lead.replayed", n=replayed)] if replayed else []
    summary = facts["changed"]["summary"]
    yield _e("p", " ".join([*outcome, *([_summed(summary, words)] if summary else [])]), kind="lead")


def _turns(entries: Sequence[Facts]) -> Iterable[Facts]:
    """Yield what somebody decided first, and how it stands now."""
    decided = [one for at, one in enumerate(entries) if one["status"] != Status.PENDING and not _is_note(entries, at)]
    yield from decided[:1]
    if len(decided) > 1:
        yield decided[-1]


def _is_note(entries: Sequence[Facts], index: int) -> bool:
    """Whether an entry tells of something that left the status as it was."""
    return index > 0 and entries[index]["status"] == entries[index - 1]["status"]


def _about_it(facts: Facts, words: Table) -> ET.Element:
    asked = facts["asked"]
    kind = [words(name) for name in ("late", "forking") if facts[name]]
    pairs = [
        ("status", _status(facts["status"], words)),
        ("system", facts["system"]),
        ("branch", facts["branch"]),
        ("kind", "; ".join(kind)),
        ("event", _code(asked["name"])),
        ("instance", _code(asked["instance"])),
        ("tag", _code(facts["tag"])),
        ("held_at", _moment(asked["at"])),
        ("named_by", _code(asked["namedBy"])),
        ("reprocessing", _code(facts["id"])),
    ]
    return _e("section", _facts([(words(key), value) for key, value in pairs]), {"aria-label": words("reprocessing")})


def _asked(asked: Facts, words: Table) -> ET.Element:
    writes, payload = asked["writes"], asked["payload"]
    parts: list[Child] = []
    if payload:
        rows = [(one["field"], one["value"]) for one in payload]
        parts += _titled(words("payload"), _table(words, ("field", "value"), rows, asked["fields"]))
    if writes["problem"]:
        parts.append(_e("p", words("writes.unknown", problem=writes["problem"]), kind="problem"))
    elif writes["rows"]:
        some_were = any(row["was"] for row in writes["rows"])
        rows = [
            (row["type"], _code(row["id"]), words.known(f"change.{row['change']}", row["change"]),
             *([row["was"]] if some_were else []), row["is"])
            for row in writes["rows"]
        ]  # fmt: skip
        columns = ("type", "row", "change", *(["was"] if some_were else []), "is")
        parts += _titled(words("writes", n=writes["total"]), _table(words, columns, rows, writes["total"]))
    elif asked["instance"]:
        parts.append(_e("p", words("writes.none")))
    return _section(words("asked"), *parts)


def _shown(facts: Facts, words: Table) -> ET.Element:
    shown = facts["shown"]
    likely, first = shown["likely"], shown["approvedFirst"]
    pairs = [
        (words("shown.count"), words.number(shown["units"])),
        (words("shown.not_finished"), words.number(shown["notFinished"]) if shown["notFinished"] else ""),
        (words("shown.likely"), words("likely", **likely) if likely else ""),
        (words("shown.digest"), _code(shown["digest"])),
        (words("first_approval"), f"{first['user']}, {_time(first['at'])}. {first['reason']}" if first else ""),
    ]
    return _section(words("shown"), _facts(pairs))


def _decided(decided: Facts, words: Table) -> ET.Element:
    rows = [
        (
            _moment(one["at"]),
            words("note") if _is_note(decided["entries"], index) else _status(one["status"], words),
            one["user"],
            one["reason"] or NOTHING,
            one["cause"] or NOTHING,
        )
        for index, one in enumerate(decided["entries"])
    ]
    table = _table(words, ("when", "what", "who", "why", "cause"), rows, decided["total"])
    return _section(words("decided"), *table, *_policies(decided["policies"], words))


def _policies(policies: Sequence[Facts], words: Table) -> Iterable[Child]:
    if not policies:
        return ()
    rows = [
        (
            one["name"],
            _code(one["digest"]),
            ", ".join(words.known(f"effect.{effect}", effect) for effect in one["effects"]),
            "; ".join(_condition(it, words) for it in one["conditions"]) or words("policy.always"),
        )
        for one in policies
    ]
    return _titled(words("policies"), _table(words, ("policy", "wording", "demanded", "why"), rows, len(rows)))


def _condition(condition: Facts, words: Table) -> str:
    found = condition["found"] or words("policy.unknown")
    return f"{condition['setting']} = {condition['wanted']} ({found})"


def _ran(ran: Facts, words: Table, *, late: bool) -> ET.Element:
    budget = ran["budget"] or {}
    limits = [words(f"budget.{name}", n=value) for name, value in budget.items() if value is not None]
    states = [f"{words.known(f'unit.{state}', state)} {words.number(n)}" for state, n in sorted(ran["states"].items())]
    pairs = [
        (words("committed"), "" if late else words("committed.yes" if ran["committed"] else "committed.no")),
        (words("replays"), words.number(ran["replayed"])),
        (words("outstanding"), words.number(ran["outstanding"])),
        (words("cascaded"), words.number(ran["cascaded"])),
        (words("states"), ", ".join(states)),
        (words("processes"), words.number(ran["processes"])),
        (words("branches"), words.number(ran["branches"])),
        (words("budget"), ", ".join(limits)),
        (words("reconsidered"), words.number(ran["reconsidered"]) if ran["reconsidered"] else ""),
    ]
    lists: list[Child] = []
    for key, name, columns in (
        ("set_aside", "setAside", ("instance", "branch", "problem")),
        ("left_out", "leftOut", ("instance", "branch", "when", "who", "why")),
        ("reimpacted", "reimpacted", ("instance", "branch")),
    ):
        found = ran[name]
        if found["total"]:
            rows = [_left(one, columns) for one in found["first"]]
            lists += _titled(
                f"{words(key)} ({words.number(found['total'])})", _table(words, columns, rows, found["total"])
            )
    return _section(words("ran"), _facts(pairs), *lists)


def _left(unit: Facts, columns: Sequence[str]) -> list[Cell]:
    cells: dict[str, Cell] = {
        "instance": _code(unit["instanceId"]), "branch": unit["branch"], "problem": unit.get("problem", ""),
        "when": _moment(unit["at"]) if "at" in unit else "", "who": unit.get("user", ""), "why": unit.get("reason", ""),
    }  # fmt: skip
    return [cells[name] for name in columns]


def _changed(changed: Facts, words: Table) -> ET.Element:
    summary, biggest, overwrites = changed["summary"], changed["biggest"], changed["overwrites"]
    if summary is None:
        parts: list[Child] = [_e("p", words("nothing_replayed"))]
    else:
        remarks = [
            words("compared", n=summary["compared"]),
            summary["unchanged"] and words("unchanged", n=summary["unchanged"]),
            summary["failed"] and words("failed", n=summary["failed"], problem=summary["problem"]),
            summary["pending"] and words("pending", n=summary["pending"]),
            summary["looked"] < summary["units"]
            and words("looked", looked=summary["looked"], units=summary["units"]),
        ]  # fmt: skip
        parts = [_e("p", _e("strong", _summed(summary, words))), *(_e("p", text) for text in remarks if text)]
    if biggest:
        rows = [(_code(one["instanceId"]), *_value(one, words)) for one in biggest]
        parts += _titled(words("biggest"), _table(words, ("result", *_VALUE), rows, len(rows)))
    if overwrites["total"]:
        found: list[Sequence[Cell]] = []
        for one in overwrites["first"]:
            name, missed = _code(one["instanceId"]), ", ".join(one["missed"])
            found += [(name, missed, *_value(value, words)) for value in one["values"]]
            if not one["values"]:
                found.append((name, missed, one["problem"] or NOTHING, *(NOTHING for _ in _VALUE[1:])))
        left = overwrites["total"] - len(overwrites["first"])
        table = _table(words, ("result", "missed", *_VALUE), found, len(found) + left)
        parts += _titled(words("overwrites", n=overwrites["total"]), table)
    return _section(words("changed"), *parts)


_VALUE: Final = ("row", "field", "was", "after", "difference", "percent")


def _value(one: Facts, words: Table) -> list[Cell]:
    change, difference, percent = one["change"], one["difference"], one["percent"]
    mark = None if change == "changed" else f" ({words.known(f'change.{change}', change)})"
    return [
        [one["about"] or one["id"], " ", _e("small", one["type"])],
        [_code(one["field"]), mark],
        NOTHING if change in ("added", "unread") else _amount(one["before"], words),
        NOTHING if change == "destroyed" else _amount(one["after"], words),
        NOTHING if difference is None else words.number(difference, sign=True),
        NOTHING if percent is None else words.percent(percent),
    ]


def _units(units: Facts, words: Table) -> ET.Element | None:
    if not units["total"]:
        return None
    rows = []
    for number, unit in enumerate(units["first"], start=1):
        cause = unit["cause"]
        brought = "first" if cause == -1 else "start" if cause < 0 else "unit"
        state = words.known(f"unit.{unit['state']}", unit["state"])
        rows.append((
            str(number),
            [" · ".join(filter(None, (unit["event"], unit["about"]))), " ", _code(unit["instanceId"])],
            unit["branch"],
            words.known(f"named.{unit['named']}", unit["named"]),
            words(f"brought.{brought}", number=str(cause + 1)),
            ", ".join([state, *([words("round", number=str(unit["round"]))] if unit["round"] > 1 else [])]),
            [_code(unit["replay"]), " ", _moment(unit["doneAt"]) if unit["doneAt"] else NOTHING],
            _came_of(unit, words),
        ))  # fmt: skip
    columns = ("#", "result", "branch", "named", "brought", "state", "replay", "outcome")
    return _section(f"{words('units')} ({words.number(units['total'])})", *_table(words, columns, rows, units["total"]))


def _came_of(unit: Facts, words: Table) -> str:
    """Say what came of a unit; before the decision, what it read."""
    outcome, read = unit["outcome"], unit["read"]
    if read and not read["problem"]:
        rows = ", ".join(f"{row['type']} {row['id']}" for row in read["first"])
        return words("read", n=read["rows"]) + (f": {rows}" if rows else "")
    problem = unit["problem"] or (read or {}).get("problem") or (outcome or {}).get("problem")
    if problem or not outcome:
        return problem or NOTHING
    return _summed(outcome | {"largest": None}, words, none=words("same"))


def _about(words: Table, digest: str, made_at: float, made_for: str) -> ET.Element:
    pairs: list[tuple[str, Child]] = [
        (words("made_at"), _moment(f"{datetime.fromtimestamp(made_at, UTC):%Y-%m-%dT%H:%M:%SZ}")),
        (words("made_by"), made_for or words("anybody")),
        (words("digest"), _code(digest)),
    ]
    said = [_e("p", words(key)) for key in ("digest.means", "cut", "times")]
    return _section(words("about"), _facts(pairs), *said)


# --- parts --------------------------------------------------------------------------------------------------------


def _e(tag: str, *children: Cell | Mapping[str, str], kind: str = "", **attributes: str) -> ET.Element:
    """Return an element; `kind` is its class. A child is a text, an element, several of them, or nothing."""
    made = ET.Element(tag, attributes)
    if kind:
        made.set("class", kind)
    for child in children:
        if isinstance(child, Mapping):
            made.attrib.update(child)
            continue
        for one in [child] if child is None or isinstance(child, str | ET.Element) else child:
            if isinstance(one, ET.Element):
                made.append(one)
            elif one and len(made):
                made[-1].tail = (made[-1].tail or "") + one
            elif one:
                made.text = (made.text or "") + one
    return made


def _section(title: str, *parts: Child) -> ET.Element:
    return _e("section", _e("h2", title), *parts)


def _titled(title: str, parts: Iterable[ET.Element]) -> list[ET.Element]:
    return [_e("h3", title), *parts]


def _facts(pairs: Iterable[tuple[str, Child]]) -> ET.Element:
    """Return names and values; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if value is not None and value != ""]
    return _e("dl", *(_e("div", _e("dt", name), _e("dd", value)) for name, value in shown))


def _table(words: Table, columns: Sequence[str], rows: Sequence[Sequence[Cell]], total: int) -> list[ET.Element]:
    """Return a table, and how many of the `total` rows it leaves out. Each cell knows its column: a phone has lines."""
    names = [words.known(name, name) for name in columns]
    kinds = ["number" if name in _NUMBERS else "" for name in columns]
    head = _e("tr", *(_e("th", name, kind=kind, scope="col") for name, kind in zip(names, kinds, strict=True)))
    body = [
        _e("tr", *(
            _e("td", {"data-label": name}, _e("div", cell), kind=kind)
            for name, kind, cell in zip(names, kinds, row, strict=True)
        ))
        for row in rows
    ]  # fmt: skip
    left = total - len(rows)
    table = _e("table", _e("thead", head), _e("tbody", *body))
    return [table, *([_e("p", words("more", n=left), kind="cut")] if left > 0 else [])]


_NUMBERS: Final = frozenset({"was", "after", "difference", "percent"})


def _code(text: str) -> ET.Element | None:
    return _e("code", text) if text else None


def _moment(at: str) -> ET.Element:
    return _e("time", _time(at), datetime=at)


def _time(at: str) -> str:
    """Return a moment (ISO 8601, UTC) to the second, as every language reads it."""
    return at[:19].replace("T", " ")


def _status(status: str, words: Table) -> str:
    return words.known(f"status.{status}", status)


def _amount(value: object, words: Table) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int | float) and not isinstance(value, bool):
        return words.number(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _summed(counts: Facts, words: Table, none: str = "") -> str:
    """Say in one line what was changed; `none` where nothing was."""
    parts = [words(key, n=counts[key]) for key in ("added", "destroyed", "unread") if counts[key]]
    if counts["changed"] or not (parts or none):
        largest = counts["largest"] and counts["largest"]["percent"]
        most = [words("largest", percent=words.percent(largest))] if largest is not None else []
        parts = [words("values", n=counts["changed"]), *most, *parts]
    return ", ".join(parts) or none
