"""The calls that make a report: as a page, and as the canonical form of its facts. Both stand in the audit log."""

import asyncio
import re
import time
from typing import Final

from aiohttp import hdrs, web

from maestro.http.checking import query_of
from maestro.http.inputs import path_document
from maestro.http.keys import ACTOR_CLIENT, DOCUMENTS, ENTITIES, SETTINGS, note
from maestro.http.replies import reply
from maestro.http.report.facts import Facts, Sources, gathered
from maestro.http.report.form import canonical, digest
from maestro.http.report.page import POLICY, rendered
from maestro.http.report.texts import words_of
from maestro.http.request_context import principal
from maestro.http.shapes.documents import ReportQuery
from maestro.language import from_header

#: The header that tells the digest.
DIGEST: Final = "X-Report-Digest"
#: What stands in no name of a file.
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


async def page(request: web.Request) -> web.StreamResponse:
    """The report as a page, in the language of the query, else of the browser."""
    query = query_of(request, ReportQuery)
    document_id = path_document(request)
    language = query.language or from_header(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    facts, hashed = await _made(request, document_id, language)
    made_for = principal().name if principal().proven else ""
    body = await asyncio.to_thread(
        rendered, facts, words_of(language), digest=hashed, made_at=time.time(), made_for=made_for
    )
    return web.Response(
        body=body,
        headers={
            hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
            hdrs.CONTENT_LANGUAGE: language,
            hdrs.VARY: hdrs.ACCEPT_LANGUAGE,
            hdrs.CONTENT_DISPOSITION: f'inline; filename="report-{_UNSAFE.sub("_", document_id)}.html"',
            "Content-Security-Policy": POLICY,
            "Referrer-Policy": "no-referrer",
            DIGEST: hashed,
        },
    )


async def form(request: web.Request) -> web.StreamResponse:
    """The facts of the report in their canonical form: the bytes whose SHA-256 is the digest."""
    facts, hashed = await _made(request, path_document(request), "")
    return reply(canonical(facts), headers={DIGEST: hashed})


async def _made(request: web.Request, document_id: str, language: str) -> tuple[Facts, str]:
    """Return the facts and their digest, which the audit log and the log line say as well."""
    app = request.app
    sources = Sources(app[DOCUMENTS], app[ACTOR_CLIENT], app[ENTITIES], app[SETTINGS].ask_timeout)
    facts = await gathered(sources, document_id)
    hashed = digest(await asyncio.to_thread(canonical, facts))
    note(request, digest=hashed, **({"language": language} if language else {}))
    return facts, hashed
