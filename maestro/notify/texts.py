"""What a notice says, in words: English and Portuguese."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from maestro import titles
from maestro.language import ENGLISH, PORTUGUESE
from maestro.language.tables import Table, Text
from maestro.messages.todo import TodoItem
from maestro.notify.plan import Due, Step

#: Things of one notice that are told one by one; and characters of a cause.
LISTED: Final = 10
SHOWN: Final = 200

_EN: Final[Mapping[str, Text]] = {
    "first": ("{n} thing waits for a person", "{n} things wait for a person"),
    "reminder": ("Reminder: {n} thing still waits for a person", "Reminder: {n} things still wait for a person"),
    "escalation": (
        "Escalation: {n} thing has waited too long for a person",
        "Escalation: {n} things have waited too long for a person",
    ),
    "test": "This is a test: notices arrive here",
    "test.text": "Nothing waits for you because of this message.",
    "pending": (
        "a commit is held: approve or skip it; {n} result would be computed again",
        "a commit is held: approve or skip it; {n} results would be computed again",
    ),
    "late": ("{n} result is out of date: approve or skip its replay",
             "{n} results are out of date: approve or skip their replay"),
    "paused": ("paused with {n} replay left: resume or cancel it", "paused with {n} replays left: resume or cancel it"),
    "unreplayable": (
        "{n} result cannot be replayed: leave it out, or resume to try it again",
        "{n} results cannot be replayed: leave them out, or resume to try them again",
    ),
    "doubt": "a commit is in doubt: say whether it was made",
    "stalled": "stalled: {sibling} does not answer",
    "failed": ("failed with {n} replay left: retry it, or leave out what is left",
               "failed with {n} replays left: retry it, or leave out what is left"),
    "cancelled": ("cancelled with {n} replay left: retry it, or leave out what is left",
                  "cancelled with {n} replays left: retry it, or leave out what is left"),
    "errors": ("{n} event failed for good: mend the cause, then put it back",
               "{n} events failed for good: mend the cause, then put them back"),
    "unavailable": "Maestro cannot answer for this system",
    "locked": "the system is locked",
    "waiting": ("{n} event waits behind it", "{n} events wait behind it"),
    "since.minutes": ("for {n} minute", "for {n} minutes"),
    "since.hours": ("for {n} hour", "for {n} hours"),
    "since.days": ("for {n} day", "for {n} days"),
    "more": ("and {n} more", "and {n} more"),
    "open": "Open",
    "all": "Everything that waits",
}  # fmt: skip

_PT: Final[Mapping[str, Text]] = {
    "first": ("{n} item espera uma pessoa", "{n} itens esperam uma pessoa"),
    "reminder": ("Lembrete: {n} item ainda espera uma pessoa", "Lembrete: {n} itens ainda esperam uma pessoa"),
    "escalation": (
        "Escalonamento: {n} item espera uma pessoa há tempo demais",
        "Escalonamento: {n} itens esperam uma pessoa há tempo demais",
    ),
    "test": "Isto é um teste: os avisos chegam aqui",
    "test.text": "Nada espera você por causa desta mensagem.",
    "pending": (
        "um commit está retido: aprove ou descarte; {n} resultado seria calculado de novo",
        "um commit está retido: aprove ou descarte; {n} resultados seriam calculados de novo",
    ),
    "late": ("{n} resultado está desatualizado: aprove ou descarte a reexecução",
             "{n} resultados estão desatualizados: aprove ou descarte a reexecução"),
    "paused": ("pausado com {n} reexecução restante: retome ou cancele",
               "pausado com {n} reexecuções restantes: retome ou cancele"),
    "unreplayable": (
        "{n} resultado não pode ser reexecutado: deixe-o de fora, ou retome para tentar de novo",
        "{n} resultados não podem ser reexecutados: deixe-os de fora, ou retome para tentar de novo",
    ),
    "doubt": "um commit está em dúvida: diga se foi feito",
    "stalled": "parado: {sibling} não responde",
    "failed": ("falhou com {n} reexecução restante: repita, ou deixe de fora o que resta",
               "falhou com {n} reexecuções restantes: repita, ou deixe de fora o que resta"),
    "cancelled": ("cancelado com {n} reexecução restante: repita, ou deixe de fora o que resta",
                  "cancelado com {n} reexecuções restantes: repita, ou deixe de fora o que resta"),
    "errors": ("{n} evento falhou de vez: corrija a causa e devolva-o",
               "{n} eventos falharam de vez: corrija a causa e devolva-os"),
    "unavailable": "o Maestro não consegue responder por este sistema",
    "locked": "o sistema está travado",
    "waiting": ("{n} evento espera atrás dele", "{n} eventos esperam atrás dele"),
    "since.minutes": ("há {n} minuto", "há {n} minutos"),
    "since.hours": ("há {n} hora", "há {n} horas"),
    "since.days": ("há {n} dia", "há {n} dias"),
    "more": ("e mais {n}", "e mais {n}"),
    "open": "Abrir",
    "all": "Tudo o que espera",
}  # fmt: skip

TABLES: Final = {ENGLISH: _EN, PORTUGUESE: _PT}
_HOUR, _DAY = 3600, 86_400


class Line(Struct, frozen=True):
    """One thing, in words."""

    #: What it is about: the system, and the event as people name it.
    title: str
    text: str
    #: Where it can be looked at; empty: it is not known where people open the console.
    link: str
    due: Due | None = None


class Message(Struct, frozen=True):
    """A notice, in words."""

    title: str
    lines: tuple[Line, ...]
    #: How many things it does not list, in words; empty: none.
    more: str
    #: What a link is called, and the page of all that waits.
    open: str
    all: str
    link: str


def message(some: Sequence[Due], step: Step, language: str, public_url: str) -> Message:
    """Say that these things wait."""
    words = Table(TABLES[language], language)
    lines = tuple(_line(one, words, public_url) for one in some[:LISTED])
    left = len(some) - len(lines)
    return Message(
        title=f"Maestro: {words(step.name.lower(), n=len(some))}",
        lines=lines,
        more=words("more", n=left) if left else "",
        open=words("open"),
        all=words("all"),
        link=public_url and f"{public_url}/",
    )


def test_message(language: str, public_url: str) -> Message:
    """Say that this is a test."""
    words = Table(TABLES[language], language)
    return Message(
        title=f"Maestro: {words('test')}",
        lines=(Line("Maestro", words("test.text"), ""),),
        more="",
        open=words("open"),
        all=words("all"),
        link=public_url and f"{public_url}/",
    )


def _line(due: Due, words: Table, public_url: str) -> Line:
    item = due.item
    said = [words(item.kind.value, n=_number(item), sibling=item.sibling)]
    if item.locked:
        said.append(words("locked"))
    if item.waiting:
        said.append(words("waiting", n=item.waiting))
    if due.waited >= 60:  # noqa: PLR2004 - a minute
        said.append(_waited(due.waited, words))
    cause = titles.cut(item.cause, SHOWN)
    title = " · ".join(filter(None, (item.system, item.event, item.about)))
    return Line(title, "; ".join(said) + (f" ({cause})" if cause else ""), _link(item, public_url), due)


def _number(item: TodoItem) -> int:
    match item.kind.value:
        case "errors":
            return item.count
        case "pending" | "late":
            return item.units
        case "unreplayable":
            return item.set_aside
        case _:
            return item.left


def _waited(seconds: float, words: Table) -> str:
    for unit, size in (("days", _DAY), ("hours", _HOUR), ("minutes", 60)):
        if seconds >= size:
            return words(f"since.{unit}", n=int(seconds // size))
    return ""


def _link(item: TodoItem, public_url: str) -> str:
    if not public_url:
        return ""
    if item.reprocessing:
        return f"{public_url}/#/reprocessing/{quote(item.reprocessing, safe='')}"
    return f"{public_url}/#/systems/{quote(item.system, safe='')}"
