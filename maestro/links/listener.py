"""The end that listens: it knows the sessions of all systems, one of each."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from maestro.links.folder import Foreign, check_peer, listen
from maestro.links.items import OF_SYSTEM, SYSTEM, VERSION, Hello
from maestro.links.session import Session
from maestro.links.trouble import Trouble
from maestro.settings.model import ActorSettings
from maestro.telemetry.metrics import MetricsRegistry

#: Seconds that a new connection has for its greeting.
GREETING_WITHIN: Final = 10.0
#: Connections accepted in a turn of the loop.
_A_TURN: Final = 32


class Listener:
    """Listens under the name of its role.

    Args:
        opened: called with each new session after its handshake, an earlier one of its system being over. It sets the
            session's `on_item` and `on_lost`.
    """

    def __init__(
        self,
        data_dir: Path,
        own: Hello,
        settings: ActorSettings,
        registry: MetricsRegistry,
        opened: Callable[[Hello, Session], None],
    ) -> None:
        self._data_dir = data_dir
        self._own = own
        self._settings = settings
        self._registry = registry
        self._opened = opened
        self._trouble = Trouble()
        self._listening: socket.socket | None = None
        #: Every session that is not over, before its handshake as well.
        self._sessions: set[Session] = set()
        self._of_system: dict[str, Session] = {}
        #: The last life of each system.
        self._epochs: dict[str, int] = {}

    @property
    def problem(self) -> str:
        """What was wrong with a link lately; empty: nothing."""
        return self._trouble.text

    def open(self) -> None:
        """Begin to listen. Raises `OSError` when the name or the folder cannot be had."""
        self._listening = listen(self._data_dir, self._own.role)
        asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept)

    async def close(self) -> None:
        """Listen no more, and end all sessions in good order. Twice is no error."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None
        sessions = list(self._sessions)
        for session in sessions:
            session.close()
        await asyncio.gather(*(session.over() for session in sessions))

    def _accept(self) -> None:
        for _ in range(_A_TURN):
            if self._listening is None:
                return
            try:
                connected, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as problem:  # no descriptor is free, or the other end is gone already
                self._trouble.note(f"a link was not accepted: {problem}")
                return
            self._admit(connected)

    def _admit(self, connected: socket.socket) -> None:
        """Begin a session, if its process is this user's own: nothing is read of any other."""
        try:
            check_peer(connected)
        except Foreign as problem:
            self._trouble.note(f"{problem} tried to connect")
            connected.close()
            return
        connected.settimeout(0)
        session = Session(OF_SYSTEM[self._own.role], self._settings, self._registry, self._meet, self._ended)
        self._sessions.add(session)
        loop = asyncio.get_running_loop()
        opening = loop.create_task(loop.connect_accepted_socket(lambda: session, connected))
        opening.add_done_callback(lambda done: self._began(session, done))

    def _began(self, session: Session, done: "asyncio.Task[object]") -> None:
        if done.cancelled() or done.exception() is not None:  # it was gone before it began
            self._sessions.discard(session)
            session.gone.set()
            return

        def expect() -> None:
            if session.peer is None:
                session.refuse("no greeting came")

        asyncio.get_running_loop().call_later(GREETING_WITHIN, expect)

    def _meet(self, session: Session, peer: Hello) -> None:
        """Take a system's new session in the place of its last one, unless it is of an earlier life."""
        system_id = peer.system_id
        if peer.version != VERSION or peer.role != SYSTEM:
            session.refuse(f"version {peer.version} of a {peer.role}; here it is version {VERSION} of a {SYSTEM}")
        elif peer.epoch < self._epochs.get(system_id, 0):
            session.refuse(f"an earlier life of system {system_id}")
        else:
            self._epochs[system_id] = peer.epoch
            former = self._of_system.pop(system_id, None)
            if former is not None:
                former.finish()
            self._of_system[system_id] = session
            session.say(self._own)
            self._opened(peer, session)

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        if session.reason:
            whose = f"system {session.peer.system_id}" if session.peer is not None else "a process unknown"
            self._trouble.note(f"{whose}: {session.reason}")
        if session.peer is not None and self._of_system.get(session.peer.system_id) is session:
            del self._of_system[session.peer.system_id]
