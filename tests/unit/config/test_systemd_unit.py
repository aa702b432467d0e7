"""The unit for systemd: valid by systemd itself, where it is installed, and in step with what Maestro promises."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from maestro.cli.config import EXIT_CONFIG
from maestro.settings.loading import load
from maestro.store import record
from maestro.store.record import BOOT_ID_VARIABLE

UNIT = Path(__file__).parents[3] / "config" / "maestro.service"
#: Seconds that an orderly stop takes at most.
STOP = 10


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # Maestro is not installed where the unit says, and nobody verifies a command that is not there.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace("/opt/maestro/bin/maestro", "/bin/true"), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, [])


def test_it_fits_what_maestro_does() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text("utf-8"))
    service = unit["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > STOP
    assert int(service["RestartPreventExitStatus"]) == EXIT_CONFIG


def test_it_keeps_to_what_maestro_needs() -> None:
    """A core would hold secrets, processes have a bound, and /proc shows nothing of the kernel, but for the boot."""
    lines = UNIT.read_text("utf-8").splitlines()
    assert {"LimitCORE=0", "TasksMax=8192", "ProcSubset=pid", f"Environment={BOOT_ID_VARIABLE}=%b"} <= set(lines)


def test_the_boot_is_known_without_the_kernels_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert record.boot_id()
    monkeypatch.setattr(record, "_BOOT_ID", tmp_path / "none")
    assert record.boot_id() == b""
    monkeypatch.setenv(BOOT_ID_VARIABLE, "6f1f1c3bd1b04a4c9d3d2f4ac4b1a111")
    assert record.boot_id() == b"6f1f1c3bd1b04a4c9d3d2f4ac4b1a111"
    load(None, {BOOT_ID_VARIABLE: "x"})  # no setting, and no unknown one
