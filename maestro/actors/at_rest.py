"""What is answered for a passivated system without waking it: what its mark says."""

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import (
    AwaitChange,
    DescribeSystem,
    FindDocuments,
    GetDocument,
    ListRecords,
    ListTodo,
    Measure,
    Question,
    place_of,
)
from maestro.store.rest_mark import RestMark


def answer_at_rest(mark: RestMark, question: Question) -> Answer | None:  # noqa: PLR0911 - one for each question
    """Return what the system would answer; None: it must be asked, or there is nothing new to tell a watcher.

    Nothing of a system changes while it is at rest. Whose mark could be read was at rest at that moment.
    """
    match question:
        case DescribeSystem():
            return Answer(Code.OK, mark.described)
        case ListTodo():
            return Answer(Code.OK, mark.todo)
        case Measure():
            return Answer(Code.OK, mark.measured)
        case AwaitChange(after=after):
            version = f"rest.{mark.at}"
            return Answer(Code.OK, mark.watched, version) if after != version else None
        case ListRecords():
            return None if _may_hold(mark, question) else Answer(Code.OK, b"[]")
        case FindDocuments() if not mark.newest:
            return Answer(Code.OK, b"[]")
        case GetDocument(id=id_) if not mark.newest:
            return Answer(Code.NOT_FOUND, message=f"no reprocessing {id_}")
    return None


def _may_hold(mark: RestMark, asked: ListRecords) -> bool:
    """Whether the system may have records that fit. What is wrong with the question is its system's to say."""
    if not mark.newest:
        return bool(asked.status or asked.before)
    return asked.since is None or place_of(mark.newest)[0] >= asked.since * 1_000_000
