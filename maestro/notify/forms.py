"""A notice in the form of each way: Slack's and Teams' incoming webhooks, JSON of our own, and a plain e-mail. Pure.

What an event says may hold anything: each form escapes it in its own way, or says it where nothing is markup.
"""

import uuid
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

import msgspec
import orjson

from maestro.notify.plan import Step
from maestro.notify.texts import Message
from maestro.titles import cut

#: Characters that Slack takes of a header and of a section; and a text of Teams, so that a message stays below 28 kB.
_SLACK_HEADER, _SLACK_SECTION, _TEAMS_TEXT = 150, 3000, 600
_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_CONTROL: Final = dict.fromkeys((*range(32), 127, 8232, 8233), " ")


def slack(message: Message) -> bytes:
    """Return Slack's form: blocks, and a text for the notification.

    Source: https://api.slack.com/messaging/webhooks
    """
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(message.title, _SLACK_HEADER)}}
    ]
    for line in message.lines:
        link = f"\n<{line.link}|{message.open}>" if line.link else ""
        # Cut before it is escaped, so that no escape is cut; escapes are five times as long at most.
        text = f"*{_slack(line.title, 200)}*\n{_slack(line.text, 350)}{link}"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text[:_SLACK_SECTION]}})
    ending = [_slack(message.more, 100)] if message.more else []
    ending += [f"<{message.link}|{message.all}>"] if message.link else []
    if ending:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(ending)}]})
    return orjson.dumps({"text": _slack(message.title, 300), "blocks": blocks})


def teams(message: Message) -> bytes:
    """Return Teams' form: an adaptive card, whose text runs know no markup.

    Source: https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
    """
    body: list[dict[str, Any]] = [_run([{"text": message.title, "weight": "bolder", "size": "medium"}])]
    for line in message.lines:
        runs: list[dict[str, Any]] = [
            {"text": f"{cut(line.title, _TEAMS_TEXT)}  ", "weight": "bolder"}, {"text": cut(line.text, _TEAMS_TEXT)}
        ]  # fmt: skip
        if line.link:
            action = {"type": "Action.OpenUrl", "url": line.link}
            runs += [{"text": "  "}, {"text": message.open, "selectAction": action}]
        body.append(_run(runs))
    if message.more:
        body.append(_run([{"text": message.more}]))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": body,
    }  # fmt: skip
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": message.all, "url": message.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return orjson.dumps({"type": "message", "attachments": [attachment]})


def json(message: Message, step: Step | None, now: float) -> bytes:
    """Return our own form: all that is known of each thing, and its text and link. Without a `step` it is a test."""
    things = [
        {"key": line.due.key, "step": line.due.step.name.lower(), "text": f"{line.title}: {line.text}",
         "link": line.link or None, "item": msgspec.to_builtins(line.due.item)}
        for line in message.lines if line.due is not None
    ]  # fmt: skip
    return orjson.dumps({
        "id": str(uuid.uuid4()), "type": f"notice.{step.name.lower() if step else 'test'}",
        "at": _moment(now).isoformat(timespec="seconds").replace("+00:00", "Z"), "title": message.title,
        "things": things, "more": message.more, "link": message.link or None,
    })  # fmt: skip


def email(message: Message, sender: str, to: tuple[str, ...], now: float) -> EmailMessage:
    """Return a plain e-mail."""
    made = EmailMessage()
    made["Subject"] = cut(message.title.translate(_CONTROL), 200)
    made["From"], made["To"] = sender, ", ".join(to)
    made["Date"] = format_datetime(_moment(now))
    made["Message-ID"] = f"<{uuid.uuid4()}@{sender.rpartition('@')[2]}>"
    # Nobody's absence note shall answer it.
    made["Auto-Submitted"] = "auto-generated"
    paragraphs = [message.title]
    for line in message.lines:
        text = f"{line.title}\n  {line.text}".encode(errors="replace").decode()
        paragraphs.append(text + (f"\n  {line.link}" if line.link else ""))
    paragraphs += [text for text in (message.more, message.link and f"{message.all}: {message.link}") if text]
    made.set_content("\n\n".join(paragraphs) + "\n")
    return made


def _run(runs: list[dict[str, Any]]) -> dict[str, Any]:
    inlines = [{"type": "TextRun", **run, "text": _encodable(run["text"])} for run in runs]
    return {"type": "RichTextBlock", "inlines": inlines}


def _slack(text: str, most: int) -> str:
    return _encodable(cut(text, most)).translate(_SLACK)


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
