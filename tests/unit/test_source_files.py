"""What holds of the source files themselves, whatever they say."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKER = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
TEXTS = (".py", ".md", ".toml", ".js", ".css", ".html", ".yml", ".yaml", ".po", ".json", ".cfg", "")
#: Lines that a file of the package may have.
LINES = 400


def _sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file() and (ROOT / name).suffix in TEXTS]


def test_no_file_has_the_marks_of_a_conflict() -> None:
    marked = [path for path in _sources() if MARKER.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert marked == []


def test_no_file_of_the_package_is_too_long_to_be_read_in_one_go() -> None:
    package = {str(path.relative_to(ROOT)): path for path in (ROOT / "maestro").rglob("*.py")}
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in package.items()}
    assert {name: n for name, n in lines.items() if n > LINES} == {}
