import socket

import pytest

from maestro.sandbox.maestro_client import MaestroClient, MaestroRefused


async def test_a_maestro_that_is_not_there_is_one_sentence_with_its_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = MaestroClient(url)
        await client.start()
        try:
            with pytest.raises(MaestroRefused) as caught:
                await client.proceed("s1")
        finally:
            await client.close()
    assert str(caught.value) == (
        f"Maestro does not answer at {url} (Connection refused): start it, or name its address with --maestro"
    )
