"""What several subjects share: limits, types of single fields, a page, an error, nothing to say."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from maestro.events import SYSTEM_ID
from maestro.messages.answers import Said

#: Characters of a user's name, of a document's id and of a status.
MAX_USER: Final = 200
MAX_ID: Final = 200
MAX_STATUS: Final = 64
#: Largest number in a query: what the store's counters reach.
MAX_NUMBER: Final = 2**63 - 1
#: Things in one page of a list, and things chosen at once.
MAX_PAGE: Final = 1000
MAX_CHOSEN: Final = 1000
#: Characters of a reason and of a digest.
MAX_REASON: Final = 1000
MAX_DIGEST: Final = 64
SECONDS: Final = "Seconds since the epoch."

User = Annotated[
    str,
    Meta(max_length=MAX_USER, description="Who decides. With access control: the credential's holder, or left out.",
         extra={"says": f"must be at most {MAX_USER} printable characters"}),
]  # fmt: skip
Reason = Annotated[
    str,
    Meta(max_length=MAX_REASON, description="Why: stands in the document's history and in the audit log.",
         extra={"says": f"must be at most {MAX_REASON} printable characters", "lines": True}),
]  # fmt: skip
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID, description="A reprocessing's id.",
                         extra={"says": f"must be at most {MAX_ID} printable characters"})]  # fmt: skip
StatusText = Annotated[str, Meta(max_length=MAX_STATUS, extra={"says": f"must be at most {MAX_STATUS} characters"})]
SystemId = Annotated[str, Meta(pattern=f"^{SYSTEM_ID.pattern}$", description="A system's id.")]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER, description="An event's number.")]
After = Annotated[int, Meta(ge=0, le=MAX_NUMBER, description="Those numbered above this.",
                            extra={"says": f"must be a whole number from 0 to {MAX_NUMBER}"})]  # fmt: skip
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="At most so many.",
                            extra={"says": f"must be a whole number from 1 to {MAX_PAGE}"})]  # fmt: skip
Digest = Annotated[str, Meta(max_length=MAX_DIGEST, extra={"says": f"must be at most {MAX_DIGEST} characters"})]


class PageQuery(Struct):
    """Which page of a log."""

    after: After = 0
    limit: Limit = 100


class ErrorBody(Struct):
    """An error, as the platform's clients expect it."""

    #: The HTTP status, as text.
    status: Annotated[str, Meta(pattern="^[45][0-9][0-9]$")]
    message: Said


class MessageBody(Struct):
    """There is nothing to say."""

    message: Literal["ok"]
