"""Who an installation is."""

from pathlib import Path

import msgspec
import pytest

from maestro.store.base import StoreError
from maestro.store.installation import begin_start, read_installation, write_installation


def test_the_id_stays_and_each_start_has_the_next_number_and_a_run_of_its_own(tmp_path: Path) -> None:
    assert read_installation(tmp_path) is None
    first, second = begin_start(tmp_path), begin_start(tmp_path)
    assert first.id == second.id
    assert (first.start, second.start) == (1, 2)
    assert first.run != second.run
    assert read_installation(tmp_path) == second


def test_what_is_known_of_the_owner_outlives_a_start(tmp_path: Path) -> None:
    begun = begin_start(tmp_path)
    write_installation(tmp_path, msgspec.structs.replace(begun, owner=True, adopting=("sysA",)))
    again = begin_start(tmp_path)
    assert again.owner
    assert again.adopting == ("sysA",)


def test_a_file_that_is_damaged_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "installation.json").write_text("{")
    with pytest.raises(StoreError, match=r"installation\.json: cannot be read"):
        begin_start(tmp_path)
