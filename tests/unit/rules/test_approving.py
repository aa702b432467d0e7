"""Two different approvers, where a system's policy asks for them."""

import orjson
import pytest

from maestro.messages.answers import Code
from maestro.rules import commands as do
from maestro.rules import facts
from maestro.rules.rendering import document_json
from maestro.rules.status import Status
from tests.unit.rules.driver import Driver


@pytest.fixture
def m() -> Driver:
    driver = Driver(two_approvers=True)
    driver.hold()
    return driver


def approve(m: Driver, user: str) -> None:
    m.tell(facts.Approved("d1", user, m.ticket()))


def override(m: Driver, user: str) -> None:
    m.tell(facts.StatusSet("d1", "approved", user, m.ticket()))


def test_the_first_is_recorded_and_the_second_decides(m: Driver) -> None:
    approve(m, "ana")
    assert m.only(do.Reply).code is Code.ACCEPTED
    assert m.only(do.Reply).document_id == "d1"
    assert m.doc.status is Status.PENDING
    assert m.system.blocked
    assert orjson.loads(document_json(m.doc, m.doc.order))["firstApproval"]["user"] == "ana"
    approve(m, "ben")
    assert m.only(do.Reply).code is Code.OK
    assert m.doc.status is Status.APPROVED
    assert m.doc.history[-1].user == "ben"
    assert m.doc.first_approval.user == "ana"


def test_the_same_user_again_is_refused(m: Driver) -> None:
    approve(m, "ana")
    approve(m, "ana")
    assert m.only(do.Reply).code is Code.CONFLICT
    assert "another user must approve it, too" in m.only(do.Reply).message
    assert m.doc.status is Status.PENDING


def test_an_override_by_hand_is_no_way_around(m: Driver) -> None:
    override(m, "ana")
    assert m.doc.status is Status.PENDING
    override(m, "ana")
    assert m.only(do.Reply).code is Code.CONFLICT
    override(m, "ben")
    assert m.doc.status is Status.APPROVED


def test_a_skip_takes_one(m: Driver) -> None:
    approve(m, "ana")
    m.skip()
    assert m.doc.status is Status.SKIPPED


def test_an_approval_of_other_units_counts_no_more(m: Driver) -> None:
    approve(m, "ana")
    m.doc.revision += 1
    approve(m, "ben")
    assert m.only(do.Reply).code is Code.ACCEPTED
    assert m.doc.first_approval.user == "ben"


def test_it_survives_a_restart(m: Driver) -> None:
    approve(m, "ana")
    m.restart()
    assert m.doc.first_approval.user == "ana"
    approve(m, "ben")
    assert m.doc.status is Status.APPROVED
