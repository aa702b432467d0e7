"""The locked versions are those that setup.py allows, and every file of theirs has its hash."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)(?:\[\w+\])?==([^\s;]+)", LOCK, re.MULTILINE)
}


def declared() -> dict[str, Any]:
    """What setup.py hands to `setup`, without running it as a command line."""
    given: dict[str, Any] = {}
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    code = compile(tree, str(ROOT / "setup.py"), "exec")
    names: dict[str, Any] = {"__file__": str(ROOT / "setup.py")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **fields: given.update(fields))
        exec(code, names)
    return given


FIELDS = declared()


@pytest.mark.parametrize("text", [*FIELDS["install_requires"], *FIELDS["extras_require"]["test"], "setuptools>=68"])
def test_a_requirement_is_locked_as_it_allows(text: str) -> None:
    requirement = Requirement(text)
    version = PINNED.get(canonicalize_name(requirement.name))
    assert version is not None, "scripts/lock"
    assert requirement.specifier.contains(version), "scripts/lock"


def test_every_version_has_hashes() -> None:
    entries = re.split(r"^(?=[\w.-]+(?:\[\w+\])?==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) >= len(PINNED)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_test_environment_has_all_that_others_have() -> None:
    test = set(FIELDS["extras_require"]["test"])
    assert all(test >= set(extra) for extra in FIELDS["extras_require"].values())
