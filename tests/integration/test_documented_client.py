"""The examples of docs/client.md, in the order of the page, against a Maestro that holds a commit."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.cli import environ
from tests.support.stage import Stage, stage, unit
from tests.support.tenant import new_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = Path(__file__).parents[2] / "docs" / "client.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with stage(tmp_path_factory.mktemp("stage")) as shared:
        yield shared


async def test_the_examples_do_what_the_page_says(it: Stage) -> None:
    tenant = await new_tenant(it)
    tenant.impacts("i1", unit("p1"), unit("p2"))
    await tenant.publish("i1")
    held = await it.pending(tenant.system)

    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    script = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "\n".join(blocks), env=environ(it), cwd=it.folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(script.communicate(), 60)
    assert (script.returncode, err.decode()) == (0, "")
    said = out.decode()
    assert f"{tenant.system} pending" in said
    assert f"pending {tenant.system}" in said
    assert re.search(r"^404 ", said, re.MULTILINE)
    document = await it.document(held["id"])
    approvals = [entry for entry in document["history"] if entry.get("user") == "nightly-job"]
    assert approvals
    assert approvals[0]["reason"] == "few units"
