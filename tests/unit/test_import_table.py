"""The walls between packages stand: an import that the architecture's table does not name is refused."""

import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from grimp import ImportGraph
from importlinter import ContractCheck, configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

from scripts.import_table import TableContract, read_table

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
TABLE = read_table(DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built() -> ImportGraph:
    configuration.configure()  # as `lint-imports` does at its start
    return grimp.build_graph("maestro", include_external_packages=True)


@pytest.fixture
def graph(built: ImportGraph) -> ImportGraph:
    return deepcopy(built)


def check(graph: ImportGraph, document: Path = DOCUMENT) -> ContractCheck:
    options = {"name": "table", "type": "table", "document": str(document), "root": "maestro"}
    return TableContract("table", {}, options).check(graph, verbose=False)


def module_of(graph: ImportGraph, package: str) -> str:
    """Return a module of the package that no part of a row names: the package's own when it has no others."""
    name = f"maestro.{package}"
    named = {part for parts in TABLE.values() for part in parts or ()}
    inside = sorted(graph.find_descendants(name))
    return next((module for module in inside if module.removeprefix("maestro.") not in named), name)


def forbidden(graph: ImportGraph, package: str) -> Iterator[str]:
    allowed = TABLE[package]
    if allowed is not None:
        yield from (module_of(graph, other) for other in TABLE if other not in {package, *allowed})


def test_the_table_holds(graph: ImportGraph) -> None:
    assert check(graph).metadata["problems"] == []


@pytest.mark.parametrize("package", [package for package, parts in TABLE.items() if parts is not None])
def test_each_wall_refuses_all_that_its_row_does_not_name(graph: ImportGraph, package: str) -> None:
    importer = module_of(graph, package)
    bad = list(forbidden(graph, package))
    assert bad
    for imported in bad:
        graph.add_import(importer=importer, imported=imported)

    checked = check(graph)

    assert not checked.kept
    assert checked.metadata["problems"] == sorted(f"{importer} imports {imported}" for imported in bad)


def test_one_module_of_a_package_is_allowed_alone(graph: ImportGraph) -> None:
    graph.add_import(importer="maestro.http.app", imported="maestro.actors.client")
    assert check(graph).metadata["problems"] == ["maestro.http.app imports maestro.actors.client"]


def test_rows_and_packages_are_the_same(graph: ImportGraph, tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    document = tmp_path / "table.md"
    document.write_text(text.replace("| `debounce` |", "| `elsewhere` |"), encoding="utf-8")

    problems = check(graph, document).metadata["problems"]

    assert "debounce has no row" in problems
    assert "there is no package elsewhere" in problems


def test_a_row_names_nothing_that_is_not_needed(graph: ImportGraph, tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    document = tmp_path / "table.md"
    document.write_text(text.replace("| `json_text` |\n", "| `json_text`, `logs` |\n", 1), encoding="utf-8")

    assert check(graph, document).metadata["problems"] == ["events does not import logs; its row says so"]


def test_a_cell_that_says_neither_is_an_error() -> None:
    with pytest.raises(ValueError, match="store: 'as above' names no part"):
        read_table("| `store` | documents | as above |")


@pytest.mark.parametrize(
    "contract", [one for one in CONTRACTS if one["type"] == "forbidden"], ids=lambda one: one["name"]
)
def test_each_forbidden_library_is_refused(graph: ImportGraph, contract: dict[str, Any]) -> None:
    options = {key: str(value) if isinstance(value, bool) else value for key, value in contract.items()}
    session = {"root_packages": ["maestro"], "include_external_packages": True}
    made = ForbiddenContract(contract["name"], session, options)
    assert made.check(deepcopy(graph), verbose=False).kept
    for package in contract["source_modules"]:
        for library in contract["forbidden_modules"]:
            broken = deepcopy(graph)
            if library not in broken.modules:
                broken.add_module(library, is_squashed=True)
            broken.add_import(importer=package, imported=library)
            assert not made.check(broken, verbose=False).kept, (package, library)


def test_an_import_against_the_layers_is_refused(graph: ImportGraph) -> None:
    (layers,) = (one for one in CONTRACTS if one["type"] == "layers")
    made = LayersContract(layers["name"], {"root_packages": ["maestro"]}, layers)
    assert made.check(deepcopy(graph), verbose=False).kept
    graph.add_import(importer="maestro.rules.state", imported="maestro.store.rows")
    assert not made.check(graph, verbose=False).kept
