"""What holds of the source files themselves, whatever they say."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKER = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
TEXTS = (".py", ".md", ".toml", ".js", ".css", ".html", ".yml", ".yaml", ".po", ".json", ".cfg", "")


def _sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file() and (ROOT / name).suffix in TEXTS]


def test_no_file_has_the_marks_of_a_conflict() -> None:
    marked = [path for path in _sources() if MARKER.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert marked == []
