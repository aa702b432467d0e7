"""Commits in doubt as rows, and what is remembered of all commits."""

from msgspec import convert, to_builtins

from maestro.rules.doubt import Doubt
from maestro.rules.state import System
from maestro.rules.step import ForgetDoubt, SaveCommits, SaveDoubt
from maestro.store.base import Delete, Put, Store, Write

DOUBTS = "doubts"
COMMITS = "commits"
_MEMORY = "memory"


def writes(save: SaveDoubt | ForgetDoubt | SaveCommits) -> list[Write]:
    """Return the rows to write for a record."""
    match save:
        case SaveDoubt(doubt):
            return [Put(DOUBTS, doubt.key, to_builtins(doubt))]
        case ForgetDoubt(key):
            return [Delete(DOUBTS, key)]
        case SaveCommits(longest, remembers_from):
            return [Put(COMMITS, _MEMORY, {"longest": longest, "from": remembers_from})]


def identity(save: SaveDoubt | ForgetDoubt | SaveCommits) -> tuple[str, object]:
    """Return what makes two records the same."""
    match save:
        case SaveDoubt(doubt):
            return (DOUBTS, doubt.key)
        case ForgetDoubt(key):
            return (DOUBTS, key)
        case SaveCommits():
            return (COMMITS, _MEMORY)


def load(store: Store, system: System) -> None:
    """Read them into a system. Raises `StoreDamaged`."""
    doubts = sorted((convert(row, Doubt) for _, row in store.rows(DOUBTS)), key=lambda doubt: doubt.since)
    system.doubts = {doubt.key: doubt for doubt in doubts}
    memory = store.get(COMMITS, _MEMORY) or {}
    system.longest_commit, system.remembers_from = memory.get("longest", 0.0), memory.get("from", 0.0)
