"""What the ledger keeps of the rows that Domain and Process Memory send."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.platform import array
from maestro.platform.errors import WrongShapeError
from maestro.platform.history import dataset_of
from maestro.platform.rows import FootprintReader, read_row, reads_of
from maestro.rules.ledger import Footprint, Read, base_key, writer_key


def row(id_: Any, track: str | None, branch: str | None = "master", **more: Any) -> dict[str, Any]:
    return {"id": id_, "_metadata": {"type": "conta", "rid": f"r{id_}", "branch": branch, "changeTrack": track}, **more}


def read(answer: bytes, size: int) -> Footprint:
    reader = FootprintReader()
    for at in range(0, len(answer), size):
        reader.feed(answer[at : at + size])
    return reader.end()


texts = st.sampled_from(["plain", "},{", '"', "\\", '\\"},', "]}", "[{", "é☃"])
values = st.recursive(
    texts | st.integers(-9, 9), lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8
)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["create", "update", "destroy", None, "read"]), values)),
    st.integers(1, 200),
    st.integers(1, 400),
)
def test_a_footprint_does_not_depend_on_how_the_bytes_come(
    found: list[tuple[int, str | None, Any]], size: int, part: int
) -> None:
    answer = orjson.dumps([row(str(id_), track, before=[{"a": {}}], fields=value) for id_, track, value in found])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array, "PART", part)

        footprint = read(answer, size)

    changed = dict.fromkeys(
        base_key("conta", str(id_), "") for id_, track, _ in found if track in ("update", "destroy")
    )
    assert footprint == Footprint(
        (("master", tuple(changed)),) if changed else (), [t for _, t, _ in found].count("create")
    )


def test_rows_without_an_id_are_known_by_their_rid_and_numbers_are_ids() -> None:
    footprint = read(orjson.dumps([row(None, "update"), row(7, "destroy", branch=None)]), 1000)

    assert footprint.changed == (
        ("master", (base_key("conta", "", "rNone"),)),
        ("", (base_key("conta", "7", ""),)),
    )


def test_a_long_answer_is_never_held_whole() -> None:
    reader = FootprintReader()
    longest = 0
    for number in range(5000):
        part = orjson.dumps(row(str(number), "update", text="x" * 400))
        reader.feed((b"," if number else b"[") + part)
        longest = max(longest, len(reader._buffer))
    reader.feed(b"]")

    assert len(reader.end().changed[0][1]) == 5000
    assert longest < 2 * array.PART


def test_a_row_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array, "PART", 1024)
    monkeypatch.setattr(array, "MAX_ROW", 10_000)
    reader, held = FootprintReader(), 0
    reader.feed(b'[{"id": "')
    for _ in range(100):
        reader.feed(b"x" * 500)
        held = max(held, len(reader._buffer))
    with pytest.raises(WrongShapeError, match="a row is larger than 10000 bytes"):
        reader.end()
    assert held <= 10_000 + 1024 + 500


def test_text_that_is_no_utf8_is_told_at_the_end() -> None:
    reader = FootprintReader()
    reader.feed(b'[{"id": "\xff", "_metadata": {}},' * 10_000)
    with pytest.raises((WrongShapeError, msgspec.DecodeError, UnicodeDecodeError)):
        reader.end()


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[", b"[1]", b'[{"id": 1}]', b'[{"_metadata": {"changeTrack": "update"}}]', b"[" * 100_000,
     b'[{"_metadata": {"type": "t", "rid": "r", "changeTrack": 5}}]'],
)  # fmt: skip
def test_what_is_no_array_of_rows_is_refused_at_the_end(answer: bytes) -> None:
    with pytest.raises((WrongShapeError, msgspec.DecodeError, RecursionError)):
        read(answer, 10_000)


def test_reads_are_the_rows_of_the_dataset_but_those_it_creates() -> None:
    head = {
        "dataset": {
            "entities": {
                "conta": [
                    {"id": "c1", "_metadata": {"rid": "r1", "branch": "b1", "instance_id": "A"}},
                    {"id": "c2", "_metadata": {"rid": "r2", "changeTrack": "update", "instance_id": None}},
                    {"_metadata": {"rid": "r3", "changeTrack": "create"}},
                ]
            }
        }
    }

    reads = reads_of(orjson.dumps(head), "b2")

    assert reads is not None
    assert reads.created == 1
    assert reads.rows == (
        Read(base_key("conta", "c1", ""), "b1", writer_key("A"), wrote=False),
        Read(base_key("conta", "c2", ""), "b2", 0, wrote=True),
    )
    assert reads_of(orjson.dumps([head]), "b2") == reads


@pytest.mark.parametrize("answer", [b"null", b"[]", b"{}", b'{"dataset": null}'])
def test_a_computation_may_have_no_dataset(answer: bytes) -> None:
    assert reads_of(answer, "master") is None


@pytest.mark.parametrize("answer", [b"7", b'{"dataset": []}', b'{"dataset": {"entities": {"t": [{}]}}}'])
def test_what_is_no_dataset_is_refused(answer: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        reads_of(answer, "master")


def test_lone_surrogates_are_no_reason_to_know_nothing() -> None:
    """As Node writes a cut emoji: such a row is a row like any other, in a field of its own or in its id."""
    cut = b'"cut \\ud83d"'
    one = (
        b'{"id":"1","nome":'
        + cut
        + b',"_metadata":{"type":"conta","rid":"r1","branch":"master","changeTrack":"update"}}'
    )
    two = one.replace(b'"id":"1"', b'"id":' + cut).replace(b'"r1"', b'"r2"')
    for size in (1, 10_000):
        footprint = read(b"[" + one + b"," + two + b"]", size)
        assert len(footprint.changed[0][1]) == 2
    reads = reads_of(b'{"dataset":{"entities":{"conta":[' + two + b"]}}}", "master")
    assert reads is not None
    (found,) = reads.rows
    assert found.base == footprint.changed[0][1][1], "read and written, it is the same row"


def test_a_dataset_with_text_that_only_some_decoders_take_is_read() -> None:
    row = rb'{"id":"c1","nome":"Caf\ud83d","n":1e400,"_metadata":{"type":"conta","instance_id":"i0"}}'
    for answer in (rb'{"dataset":{"entities":{"conta":[%s]}}}', rb'[{},{"dataset":{"entities":{"conta":[%s]}}}]'):
        rows = dataset_of(answer % row)
        assert rows is not None
        [raw] = rows["conta"]
        found = read_row("conta", bytes(raw), "b1")
        assert found is not None
        assert (found.id, found.branch, found.writer, found.wrote) == ("c1", "b1", "i0", False)
    assert read_row("conta", b'{"id":"c2","_metadata":{"changeTrack":"create"}}', "b1") is None
    assert dataset_of(b"null") is dataset_of(b"[]") is dataset_of(b"{}") is None
