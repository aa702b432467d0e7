"""The wheel: built from the sources, installed where nothing else of them is, and it works."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from maestro import __version__

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


def run(*command: str | Path, cwd: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAESTRO_", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """One test, for it builds once. Libraries are those of the test environment: none is fetched."""
    sources, built, elsewhere = tmp_path / "sources", tmp_path / "built", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(ROOT / "maestro", sources / "maestro", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    wheel = built / run(sys.executable, "-c", BUILD, built, cwd=sources).splitlines()[-1]

    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_string(archive.read(metadata).decode())
    assert (told["Name"], told["Version"], told["License"]) == (
        "maestro-reprocessing",
        __version__,
        "Apache-2.0",
    )
    assert (told["Requires-Python"], told["Description-Content-Type"]) == (">=3.11", "text/markdown")
    data = [path for path in (ROOT / "maestro").rglob("*") if path.is_file() and path.suffix not in {".pyc", ".py"}]
    assert {str(path.relative_to(ROOT)) for path in data} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "scripts/"))]

    fresh = tmp_path / "venv"
    venv.create(fresh, with_pip=True)
    run(fresh / "bin" / "pip", "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=elsewhere)
    (packages,) = fresh.glob("lib/python*/site-packages")
    # Behind what is installed, so that Maestro is the wheel's; and no .pth file in there is read.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    maestro = fresh / "bin" / "maestro"
    where = run(fresh / "bin" / "python", "-c", "import maestro; print(maestro.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(fresh)
    assert run(maestro, "--version", cwd=elsewhere) == f"maestro {__version__}\n"
    assert "port = 6971" in run(maestro, "config", "show", cwd=elsewhere)
    template = (ROOT / "config" / "maestro.toml").read_text("utf-8")
    assert run(maestro, "config", "template", cwd=elsewhere) == template
    run(maestro, "init", "--yes", cwd=elsewhere)
    assert run(maestro, "config", "check", cwd=elsewhere) == "maestro.toml: ok\n"
