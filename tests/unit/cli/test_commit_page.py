"""The rows of a held commit: what stays, what it was, what it would be."""

from typing import Any

import pytest

from maestro.cli.commit_page import row_cells


def of(change: str, **more: Any) -> dict[str, Any]:
    return {"_metadata": {"type": "quote", "changeTrack": change, **more}}


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (
            {
                "day": "2026-01-05",
                "rate": 1.1,
                "final": True,
                **of("update"),
                "before": {"day": "2026-01-05", "rate": 1},
            },
            ("update", "quote", "day=2026-01-05", "rate=1", "rate=1.1, final=true"),
        ),
        ({"rate": 1.1, **of("update", before={"rate": 1.0})}, ("update", "quote", "-", "rate=1.0", "rate=1.1")),
        (
            {"id": "q1", "rate": 1.1, **of("update"), "before": {"rate": 1}},
            ("update", "quote", "-", "rate=1", "rate=1.1"),
        ),
        ({"id": "q1", "rate": 1.1, **of("create")}, ("create", "quote", "-", "-", "id=q1, rate=1.1")),
        ({"rate": 1.1, "_id": "x", **of("update")}, ("update", "quote", "-", "not told", "rate=1.1")),
        ({"rate": 1.1, **of("create")}, ("create", "quote", "-", "-", "rate=1.1")),
        ({"rate": 1.1, **of("update"), "before": {"rate": 1.1}}, ("update", "quote", "rate=1.1", "-", "-")),
        ({"rate": None, "_metadata": "odd", "before": 3}, ("write", "row", "-", "not told", "rate=null")),
    ],
)
def test_rows(row: dict[str, Any], cells: tuple[str, ...]) -> None:
    assert row_cells(row) == cells
