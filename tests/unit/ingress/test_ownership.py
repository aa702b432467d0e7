"""Which owner message is one's own."""

import pytest

from maestro.ingress.ownership import objection, owner_body
from maestro.store.installation import Installation

OURS = Installation("one", 5, "run5")


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        (OURS, ""),
        (Installation("one", 4, "run4"), ""),
        (Installation("one", 6, "run6"), "old copy: start 6"),
        (Installation("one", 5, "another"), "old copy: start 5"),
        (Installation("two", 1, "run1"), "another Maestro, whose data folder has the id two"),
    ],
)
def test_an_owner_is_a_start_of_this_folder_up_to_this_one(theirs: Installation, text: str) -> None:
    why = objection(owner_body(theirs), OURS)
    assert (text in why) if text else not why


@pytest.mark.parametrize("body", [b"", b"{}", b'{"installation":1,"start":"x"}', b"\xff"])
def test_what_is_no_owner_message_is_nobodys(body: bytes) -> None:
    assert "is not Maestro's" in objection(body, OURS)
