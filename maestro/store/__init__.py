"""A system's durable truth: TinyDB's document API over SQLite, one file per system, one owner.

May import `maestro.events`, `settings`, `backoff`, `whole_file` and `cluster`; knows nothing of what the rows mean.

    from maestro.store import open_documents, where

    with open_documents(Path("backup/sysA.db")) as documents:
        documents.table("documents").search(where("status") == "failure")
"""

from tinydb import where as where

from maestro.store.reading import open_documents as open_documents
