"""The walls between Maestro's packages: a contract of import-linter that reads the table of docs/architecture.md.

A row `| package | what lives there | may import |` is a wall: the package (a folder or a module under `maestro/`)
imports the parts that its last column names, and no other part of Maestro. A part is `package`, or `package.module` for
one module of it; `nothing` and `everything` say what they mean. Indirect imports are their own packages' affair.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROW = re.compile(r"^\| `([\w.]+)` \|[^|]*\| ([^|]*) \|$", re.MULTILINE)
#: A row that may import all, and one that may import nothing.
EVERYTHING, NOTHING = "everything", "nothing"


class Import(NamedTuple):
    """A module of Maestro imports a module of another package of it."""

    importer: str
    imported: str


def read_table(text: str) -> Mapping[str, frozenset[str] | None]:
    """Return what each package may import (None: everything).

    Raises:
        ValueError: a last column is neither a list of parts in back-quotes nor one of the two words.
    """
    table: dict[str, frozenset[str] | None] = {}
    for package, cell in ROW.findall(text):
        parts = frozenset(re.findall(r"`([\w.]+)`", cell))
        if not parts and cell not in {EVERYTHING, NOTHING}:
            raise ValueError(f"{package}: {cell!r} names no part")
        table[package] = None if cell == EVERYTHING else parts
    return table


def crossing(graph: ImportGraph, root: str) -> Iterator[Import]:
    """Yield the imports that cross from one package under `root` to another."""
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            if imported.startswith(f"{root}.") and _package(importer) != _package(imported):
                yield Import(importer, imported)


def _package(module: str) -> str:
    return ".".join(module.split(".")[1:2])


def _parts(module: str) -> Iterator[str]:
    """Yield the parts that a module belongs to: `maestro.a.b.c` belongs to `a`, `a.b` and `a.b.c`."""
    names = module.split(".")[1:]
    return (".".join(names[: length + 1]) for length in range(len(names)))


class TableContract(Contract):
    """Every import between packages is allowed by a row, every package has a row, and every row is needed."""

    document = fields.StringField()
    root = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - the base class's
        """Check the graph against the table."""
        root = str(self.root)
        table = read_table(Path(str(self.document)).read_text(encoding="utf-8"))
        packages = {_package(module) for module in graph.modules if module.startswith(f"{root}.")}
        problems = [f"{package} has no row" for package in sorted(packages - set(table))]
        problems += [f"there is no package {package}" for package in sorted(set(table) - packages)]
        used: set[tuple[str, str]] = set()
        for found in crossing(graph, root):
            package = _package(found.importer)
            if not package or (allowed := table.get(package)) is None:
                continue
            parts = set(_parts(found.imported)) & allowed
            used |= {(package, part) for part in parts}
            if not parts:
                problems.append(f"{found.importer} imports {found.imported}")
        named = {(package, part) for package, parts in table.items() for part in parts or ()}
        problems += [f"{package} does not import {part}; its row says so" for package, part in sorted(named - used)]
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name what the table does not allow."""
        for problem in check.metadata["problems"]:
            output.print_error(f"- {problem}")
