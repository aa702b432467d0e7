"""The gateway's questions about the error queue: carried to ingress, answered when it answers, or when time is up."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import orjson

from maestro.broker.topology import ERROR_HEADER, FAILED_AT_HEADER
from maestro.messages.answers import Answer, Code
from maestro.messages.error_queue import (
    ErrorGroup,
    ErrorMessage,
    ErrorsGrouped,
    ErrorsPeeked,
    ErrorsRedriven,
    GroupErrors,
    PeekErrors,
    RedriveErrors,
)
from maestro.messages.questions import ListErrorGroups, ListErrors, Redrive
from maestro.settings.model import HttpSettings
from maestro.system.deadline import SHARE

Give = Callable[[Answer], None]
_LATE: Final = "the broker did not answer in time"


class ErrorQueueClient:
    """Keeps who waits for ingress. An ingress that is replaced meanwhile answers nothing: time is up then."""

    def __init__(self, to_ingress: Callable[[object], bool], settings: HttpSettings) -> None:
        self._to_ingress = to_ingress
        self._settings = settings
        self._last_request = 0
        self._waiting: dict[int, tuple[Give, asyncio.TimerHandle]] = {}

    def peek(self, question: ListErrors, give: Give) -> None:
        """Answer the oldest messages of the error queue."""
        request = self._request(give, self._settings.ask_timeout, _LATE)
        self._send(request, PeekErrors(request, question.limit, question.group, question.after))

    def group(self, question: ListErrorGroups, give: Give) -> None:
        """Answer the messages of the error queue, put together by why they failed."""
        request = self._request(give, self._settings.ask_timeout, _LATE)
        self._send(request, GroupErrors(request, question.look, question.after, question.limit))

    def redrive(self, question: Redrive, give: Give) -> None:
        """Have messages of the error queue judged again."""
        late = "not done in time: look at the error queue for what is left of it"
        request = self._request(give, self._settings.sync_timeout, late)
        self._send(request, RedriveErrors(request, question.ids, question.user, question.groups))

    def answered(self, outcome: ErrorsPeeked | ErrorsGrouped | ErrorsRedriven) -> None:
        """Ingress answered."""
        if isinstance(outcome, ErrorsRedriven) and outcome.changed:
            self._resolve(outcome.request, Answer(Code.CONFLICT, message=outcome.changed))
            return
        if isinstance(outcome, ErrorsRedriven):
            done = f"; {outcome.count} were redriven before" if outcome.count else ""
            body: dict[str, Any] = {"redriven": outcome.count, "missing": outcome.missing}
        elif isinstance(outcome, ErrorsGrouped):
            done = ""
            groups = [_group(group) for group in outcome.groups]
            body = {
                "total": outcome.total,
                "lookedAt": outcome.looked_at,
                "count": outcome.count,
                "groups": groups,
            }
        else:
            done = ""
            body = {"total": outcome.total, "errors": [_shown(message) for message in outcome.messages]}
        failed = Answer(Code.FAILED, message=f"broker: {outcome.problem}{done}")
        self._resolve(outcome.request, failed if outcome.problem else Answer(Code.OK, orjson.dumps(body)))

    @property
    def busy(self) -> bool:
        """Whether somebody waits for ingress."""
        return bool(self._waiting)

    def close(self) -> None:
        """Wait for nothing any more."""
        for _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _request(self, give: Give, timeout: float, late: str) -> int:
        self._last_request += 1
        request = self._last_request
        expired = Answer(Code.UNAVAILABLE, message=late)
        timer = asyncio.get_running_loop().call_later(timeout * SHARE, self._resolve, request, expired)
        self._waiting[request] = (give, timer)
        return request

    def _send(self, request: int, order: PeekErrors | GroupErrors | RedriveErrors) -> None:
        if not self._to_ingress(order):
            self._resolve(request, Answer(Code.UNAVAILABLE, message="ingress is being restarted"))

    def _resolve(self, request: int, answer: Answer) -> None:
        give, timer = self._waiting.pop(request, (None, None))
        if give is not None and timer is not None:
            timer.cancel()
            give(answer)


def _group(group: ErrorGroup) -> dict[str, Any]:
    return {
        "key": group.key,
        "reason": group.reason,
        "count": group.count,
        "first": group.first,
        "last": group.last,
        "events": group.events,
        "instanceId": group.instance_id,
        "doubt": group.doubt,
        "digest": group.digest,
    }


def _shown(message: ErrorMessage) -> dict[str, Any]:
    headers = dict(message.headers)
    truncated = message.size > len(message.body)
    return {
        "id": message.id,
        "reason": headers.get(ERROR_HEADER, ""),
        "failedAt": headers.get(FAILED_AT_HEADER, ""),
        "headers": headers,
        "size": message.size,
        "truncated": truncated,
        "body": _body(message.body),
    }


def _body(body: bytes) -> Any:
    """Return a body as JSON if it is that, else as text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")
