import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.rules.ids import RANDOM_BYTES, document_id, system_of

system_ids = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
random_bytes = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(system_ids, random_bytes)
def test_id_is_a_uuid_of_version_8_that_tells_its_system(system_id: str, chance: bytes) -> None:
    made = document_id(system_id, chance)
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
    assert system_of(made, (system_id,)) == (system_id,)


@given(random_bytes, random_bytes)
def test_random_bits_survive_but_six(one: bytes, other: bytes) -> None:
    same = document_id("s", one) == document_id("s", other)
    mask = int("ffffffffffff0fff3fff", 16)
    assert same == (int(one.hex(), 16) & mask == int(other.hex(), 16) & mask)


def test_layout() -> None:
    assert document_id("sysA", bytes(range(10))) == "00010203-0405-8607-8809-" + _tail("sysA")
    assert document_id("sysA", b"\xff" * 10) == "ffffffff-ffff-8fff-bfff-" + _tail("sysA")


def _tail(system_id: str) -> str:
    return hashlib.blake2b(system_id.encode(), digest_size=6).hexdigest()


def test_only_the_systems_of_the_tail_are_candidates() -> None:
    made = document_id("b", bytes(10))
    assert system_of(made, ("a", "b", "c")) == ("b",)
    assert system_of(made, ("a", "c")) == ()
    assert system_of(made, ()) == ()


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "r1",
        "x" * 36,
        str(uuid.UUID(int=7)),
        document_id("a", bytes(10)).upper(),
        document_id("a", bytes(10)) + "\n",
    ],
)
def test_foreign_ids_have_no_candidates(foreign: str) -> None:
    assert system_of(foreign, ("a",)) == ()


@pytest.mark.parametrize("size", [0, 9, 11, 16])
def test_needs_exactly_its_random_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="must be 10 bytes"):
        document_id("s", bytes(size))
