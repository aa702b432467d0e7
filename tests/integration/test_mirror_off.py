"""Documents are not mirrored where the settings say so."""

from pathlib import Path

import pytest

from tests.support.stage import stage, unit
from tests.support.tenant import new_tenant


@pytest.mark.rabbitmq
async def test_no_document_is_sent_to_process_memory(tmp_path: Path, vhost_url: str) -> None:
    async with stage(tmp_path, vhost_url, MAESTRO_PLATFORM__MIRROR_DOCUMENTS="false") as it:
        tenant = await new_tenant(it)
        tenant.impacts("i", unit("p1"))
        await tenant.ended(await tenant.approved("i"), "finished")
        assert await it.stop() == 0
        assert it.siblings.calls("save_document") == []
