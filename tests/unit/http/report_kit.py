"""What a system says of one document of which a report is made."""

import json
from collections.abc import Callable
from typing import Any

import orjson

from maestro.messages.answers import Answer, Code
from maestro.messages.questions import GetDocument, GetReplays, GetUnits, ListStale, Question
from maestro.rules.ids import document_id

ID = document_id("sysA", b"0123456789")
JSON = dict[str, Any]


def unit(number: int, cause: int = -1, **more: Any) -> JSON:
    return {
        "instanceId": f"p{number}", "branch": "master", "forking": False, "named": "both", "missed": [],
        "state": "done", "round": 1, "sends": 1, "replayInstanceId": f"re{number}", "cause": cause, "problem": None,
        "sentAt": None, "doneAt": "2026-11-28T10:00:01.000001Z", "duration": 1.0,
    } | more  # fmt: skip


class System:
    """What a system says of one document."""

    def __init__(self, *units: JSON, **more: Any) -> None:
        self.units = list(units)
        origin = {"name": "sysA.rectify.quote.request", "payload": {"currency": "USD", "rate": 1.2, "why": {"a": [1]}}}
        self.document: JSON = {
            "id": ID, "systemId": "sysA", "tag": "t1", "branch": "master", "forking": False, "status": "finished",
            "pendingEvent": {"instanceId": "c1"}, "origin": origin, "late": False, "heldNamedBy": None,
            "history": [
                self.entry("pending_approval", "maestro", 0), self.entry("approved", "ana", 1, reason="mistyped"),
                self.entry("running", "maestro", 2), self.entry("finished", "maestro", 3),
            ],
            "reimpacted": [], "setAside": [], "leftOut": [], "notFinished": [], "firstApproval": None, "budget": None,
            "progress": {"replayed": len(units), "outstanding": 0, "units": len(units), "cascaded": 0},
            "heldCommitted": True, "reconsidered": None, "digest": "d",
        } | more  # fmt: skip
        self.stale: list[JSON] = []

    @staticmethod
    def entry(status: str, user: str, second: int, **more: str) -> JSON:
        return {"status": status, "user": user, "timestamp": f"2026-11-28T10:00:0{second}.000000",
                "at": f"2026-11-28T10:00:0{second}.000000Z"} | more  # fmt: skip

    def answers(self) -> dict[type, Callable[[str, Question], Answer]]:
        return {GetDocument: self._page, GetReplays: self._replays, GetUnits: self._asked, ListStale: self._stale}

    def _page(self, system_id: str, question: Question) -> Answer:
        assert isinstance(question, GetDocument)
        if (system_id, question.id) != ("sysA", ID):
            return Answer(Code.NOT_FOUND, message="no reprocessing")
        shown = self.units[: question.limit]
        page = {"after": 0, "total": len(self.units), "next": None, "processes": 1, "branches": 1}
        events = [{"name": "monthly.average.request", "payload": {"n": one["instanceId"]}} for one in shown]
        return Answer(Code.OK, json.dumps(self.document | {"units": shown, "events": events, "page": page}).encode())

    def _replays(self, _system: str, question: Question) -> Answer:
        assert isinstance(question, GetReplays)
        end = question.after + question.limit
        units = [
            {"instanceId": one["instanceId"], "branch": one["branch"], "state": one["state"], "round": 1, "first": "",
             "last": "", "cause": one["cause"]}
            for one in self.units[question.after : end]
        ]  # fmt: skip
        body = {"systemId": "sysA", "status": "finished", "total": len(self.units), "units": units,
                "next": end if end < len(self.units) else None}  # fmt: skip
        return Answer(Code.OK, orjson.dumps(body))

    def _asked(self, _system: str, question: Question) -> Answer:
        assert isinstance(question, GetUnits)
        units = [
            {"instanceId": one["instanceId"], "branch": one["branch"], "named": "both", "missed": [], "computation": ""}
            for one in self.units[: question.limit]
        ]
        body = {"systemId": "sysA", "heldInstance": "c1", "branch": "master", "total": 1, "units": units, "next": None}
        return Answer(Code.OK, orjson.dumps(body))

    def _stale(self, _system: str, question: Question) -> Answer:
        assert isinstance(question, ListStale)
        page = [one for one in self.stale if one["number"] > question.after][: question.limit]
        following = page[-1]["number"] if page and page[-1] is not self.stale[-1] else None
        return Answer(Code.OK, orjson.dumps({"total": 0, "left": 0, "stale": page, "next": following}))
