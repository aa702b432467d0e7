"""A moment in an answer says its zone: where the platform's own field does not, one beside it does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import maestro

ROOT = Path(maestro.__file__).parent
PARTS = ("rules", "system", "webhooks", "http", "ingress", "notify")


def calls(node: ast.AST, name: str) -> Iterator[ast.Call]:
    for one in ast.walk(node):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name:
            yield one


def without_zone() -> Iterator[str]:
    """Yield where a moment is told without its zone, and nothing beside it tells it with one; sentences say UTC."""
    for path in (path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))):
        tree = ast.parse(path.read_text("utf-8"))
        fine: set[ast.AST] = set()
        for node in ast.walk(tree):
            zoned = isinstance(node, ast.Dict) and any(calls(node, "zoned_time"))
            said = isinstance(node, ast.JoinedStr) and "UTC" in ast.unparse(node)
            # The last one tells both, rendered once.
            both = ("wire_time", "zoned_time", "history_entry")
            itself = isinstance(node, ast.FunctionDef) and node.name in both
            if zoned or said or itself:
                fine.update(ast.walk(node))
        yield from (f"{path.relative_to(ROOT)}:{one.lineno}" for one in calls(tree, "wire_time") if one not in fine)


def test_no_moment_is_told_without_its_zone() -> None:
    assert list(without_zone()) == []


def test_the_search_finds_the_platforms_fields() -> None:
    rendering = ast.parse((ROOT / "rules" / "rendering.py").read_text("utf-8"))
    assert any(calls(rendering, "wire_time"))
