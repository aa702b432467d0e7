import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from maestro.store.base import StoreError, StoreFull
from maestro.store.space import ROOM, check_room


def test_there_is_room(tmp_path: Path) -> None:
    check_room(tmp_path / "not" / "yet" / "there")


@pytest.mark.parametrize(("free", "full"), [(ROOM // 4096, False), (ROOM // 4096 - 1, True), (0, True)])
def test_what_is_too_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, full: bool) -> None:  # noqa: FBT001
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=4096))
    if full:
        with pytest.raises(StoreFull, match=f"no space left: {free * 4} kB are free, 1024 kB are needed"):
            check_room(tmp_path)
    else:
        check_room(tmp_path)


def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", fails)
    with pytest.raises(StoreError, match="Input/output error"):
        check_room(tmp_path)
