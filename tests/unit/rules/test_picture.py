"""A picture of a large document is what rendering the whole of it gives, whatever changes in between."""

import random

import pytest

from maestro.rules import picture
from maestro.rules.document import Document, HistoryEntry
from maestro.rules.impact import Impacted, Origin
from maestro.rules.picture import PART, Picture
from maestro.rules.rendering import document_json
from maestro.rules.status import Status
from maestro.rules.unit import LeftOut, Unit, UnitState

COUNT = 2 * PART + 17


def _origin(n: int) -> Origin:
    event = b'{"name": "x.request", "branch": "b%d", "payload": {"n": 1e400}}' % n if n % 5 else b""
    return Origin(Impacted(f"p{n}", "master", n % 3 == 0), event, "2018-07-20T15:08:41")


@pytest.fixture
def doc() -> Document:
    found = Document("d1", "sysA", 1, "tag", "master", False, "i1", b'{"a": 1}', b"")  # noqa: FBT003 - a field
    found.history = [HistoryEntry(Status.PENDING, 1.5e9, "maestro")]
    found.not_finished = (Impacted("p1", "master"), Impacted("q1", "master"))
    found.add(_origin(n) for n in range(COUNT))
    return found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The units that are rendered."""
    names: list[str] = []
    unit_json = picture.unit_json

    def counted(unit: Unit) -> dict[str, object]:
        names.append(unit.instance_id)
        return unit_json(unit)

    monkeypatch.setattr(picture, "unit_json", counted)
    return names


def _change(doc: Document, unit: Unit, dice: random.Random) -> None:
    match dice.randrange(5):
        case 0:
            unit.begin_send(1.6e9 + dice.random())
        case 1:
            unit.state, unit.problem = UnitState.SET_ASIDE, "no subscribers"
        case 2:
            unit.state, unit.left_out = UnitState.LEFT_OUT, LeftOut("ana", 1.6e9, "why")
        case 3:
            unit.state, unit.done_at, unit.reimpacted = UnitState.DONE, 1.7e9, True
            unit.accept(f"re-{unit.position}", "k")
        case _:
            doc.add_round(unit)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_rendering_the_whole_gives(doc: Document, seed: int) -> None:
    dice, it = random.Random(seed), Picture(doc)
    for n in range(30):
        for _ in range(dice.randrange(4)):
            unit = dice.choice(doc.order)
            _change(doc, unit, dice)
            it.changed(unit.position)
        if n % 7 == 6:
            added = doc.add(_origin(doc.total + n) for n in range(dice.randrange(1, 2 * PART)))
            for unit in added:
                it.changed(unit.position)
        if n % 13 == 12:
            for unit in doc.replace_units([_origin(n) for n in range(dice.randrange(1, COUNT))]):
                it.changed(unit.position)
        assert it.render() == document_json(doc, doc.order)


def test_only_parts_with_a_change_are_made_anew(doc: Document, made: list[str]) -> None:
    it = Picture(doc)
    it.render()
    assert len(made) == COUNT
    made.clear()
    doc.order[PART].begin_send(1.6e9)
    it.changed(PART)
    assert it.render() == document_json(doc, doc.order)
    assert made == [unit.instance_id for unit in doc.order[PART : 2 * PART]]


def test_its_parts_can_be_made_one_by_one_before(doc: Document, made: list[str]) -> None:
    it = Picture(doc)
    sizes = []
    while it.make_some():
        sizes.append(len(made) - sum(sizes))
    assert sorted(sizes) == [17, PART, PART]
    made.clear()
    assert it.render() == document_json(doc, doc.order)
    assert made == []


def test_a_document_without_units(doc: Document) -> None:
    doc.replace_units(())
    assert Picture(doc).render() == document_json(doc, ())
