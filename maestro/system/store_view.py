"""What a running system's store holds, for a person who looks into it: read by its owner, on its own connection."""

from typing import Any

import orjson

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import ReadStore
from maestro.store import reading
from maestro.store.base import Store, StoreError
from maestro.store.places import copy_of
from maestro.store.row_store import RowStore
from maestro.store.sqlite import SystemStore


def answer(store: Store, question: ReadStore) -> Answer:
    """Answer the tables, or documents of one. Changes nothing."""
    if not isinstance(store, RowStore):
        return Answer(Code.UNAVAILABLE, message="this store cannot be looked into")
    try:
        return Answer(Code.OK, orjson.dumps(_read(store, question)))
    except reading.UnknownTable as problem:
        return Answer(Code.NOT_FOUND, message=str(problem))
    except reading.BadCondition as problem:
        return Answer(Code.INVALID, message=f"where: {problem}")
    except StoreError as problem:
        return Answer(Code.FAILED, message=str(problem))


def copied(store: Store) -> Answer:
    """Answer the name of a copy of the store that is beside it now. The system does nothing else meanwhile."""
    if not isinstance(store, SystemStore):
        return Answer(Code.UNAVAILABLE, message="this store is no file: it is backed up with its database")
    path = copy_of(store.path)
    try:
        store.backup(str(path))
    except StoreError as problem:
        return Answer(Code.FAILED, message=str(problem))
    return Answer(Code.OK, orjson.dumps({"file": path.name}))


def _read(store: RowStore, question: ReadStore) -> dict[str, Any]:
    if not question.table:
        return {"tables": reading.tables(store.documents), "documents": {}, "next": None}
    if question.key:
        found = store.get(question.table, question.key)
        if found is None:
            reading.check_table(store.documents, question.table)
        return {"tables": {}, "documents": {} if found is None else {question.key: found}, "next": None}
    fits = reading.condition(question.where)
    page = reading.find(store.documents, question.table, fits, after=question.after, limit=question.limit)
    if not page.documents and not question.after:
        reading.check_table(store.documents, question.table)
    return {"tables": {}, "documents": page.documents, "next": page.next}
