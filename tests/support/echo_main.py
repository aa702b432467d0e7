"""A whole main process around the echo services: `python -m tests.support.echo_main <data_dir> <system>...`."""

import asyncio
import signal
import sys
from pathlib import Path

from maestro.actors.bootstrap import ActorRuntime
from maestro.actors.messages import Factories
from maestro.settings.model import ActorSettings, Settings

FACTORIES = Factories(
    ingress="tests.support.echo_services:EchoIngress",
    cascade="tests.support.echo_services:EchoCascade",
    system="tests.support.echo_services:EchoSystem",
)


def settings_for(folder: Path) -> Settings:
    """Return settings with the patience of a test."""
    return Settings(data_dir=folder, actors=ActorSettings(silent_after=1.0, replace_after=4.0))


async def main(folder: Path, systems: list[str]) -> None:
    """Run until SIGTERM; `ready` appears in the folder once all systems run."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    runtime = ActorRuntime(settings_for(folder), FACTORIES)
    await runtime.start()
    try:
        for system in systems:
            await runtime.actor_client.install(system)
        await runtime.actor_client.wait_for_services(20)
        (folder / "ready").touch()
        await ended.wait()
    finally:
        await runtime.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
