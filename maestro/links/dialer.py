"""The end that dials: one system's way to ingress, cascade or the main process, dialled again whenever it ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from maestro.backoff import Backoff
from maestro.links.folder import FolderUnsafe, Foreign, connect
from maestro.links.items import OF_LISTENER, VERSION, Hello
from maestro.links.session import Session
from maestro.links.trouble import Trouble
from maestro.settings.model import ActorSettings
from maestro.telemetry.metrics import MetricsRegistry

#: Seconds between two tries while nobody listens: the first, and the longest they grow to.
SOON, LATE = 0.02, 0.25
#: Likewise after a session that ended for what it carried: the same may come again.
WARY, WARIEST = 0.25, 5.0
#: Seconds after which a session has shown that it holds.
PROVEN: Final = 60.0


class Dialer:
    """Keeps a session with the process that listens under a name.

    Args:
        name: the listener's.
        opened: called with each new session, once both ends have said Hello. It sets the session's `on_item` and
            `on_lost`.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        own: Hello,
        settings: ActorSettings,
        registry: MetricsRegistry,
        opened: Callable[[Session], None],
    ) -> None:
        self._data_dir = data_dir
        self._name = name
        self._own = own
        self._settings = settings
        self._registry = registry
        self._opened = opened
        self._trouble = Trouble()
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """What was wrong with the link lately; empty: nothing."""
        return self._trouble.text

    def open(self) -> None:
        """Dial, in the background, until `close`."""
        self._task = asyncio.create_task(self._run(), name=f"link to {self._name}")

    async def close(self) -> None:
        """End the session in good order, and dial no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            self._session.close()
            await self._session.over()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        soon, wary = Backoff(SOON, LATE), Backoff(WARY, WARIEST)
        while True:
            began = loop.time()
            session = await self._dial()
            if session is not None and session.peer is not None:
                soon.reset()
            await asyncio.sleep(soon.next())
            if session is not None and session.reason:
                self._trouble.note(f"link to {self._name}: {session.reason}")
                if loop.time() - began >= PROVEN:
                    wary.reset()
                await asyncio.sleep(wary.next())

    async def _dial(self) -> Session | None:
        """Have a session until it ends, and return it; None when nobody listens."""
        decoder = OF_LISTENER[self._name]
        session = Session(decoder, self._settings, self._registry, self._meet, lambda _session: None)
        try:
            connected = connect(self._data_dir, self._name)
        except (Foreign, FolderUnsafe) as problem:
            self._trouble.note(f"link to {self._name}: {problem}")
            return None
        except OSError:  # not there yet, or not any more
            return None
        self._session = session
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: session, sock=connected)
        except OSError:
            session.gone.set()
            return None
        except asyncio.CancelledError:  # uvloop closes what it has made by then, and tells nobody
            session.gone.set()
            raise
        session.say(self._own)
        await session.gone.wait()
        return session

    def _meet(self, session: Session, peer: Hello) -> None:
        if (peer.role, peer.version) != (self._name, VERSION):
            session.refuse(f"version {peer.version} of {peer.role} listens as {self._name}")
        else:
            self._opened(session)
