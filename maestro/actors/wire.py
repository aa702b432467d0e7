"""How thespian's TCP transport is set up in every process of Maestro, before its first socket.

Some of its habits do not do, and it offers no setting for them:

- It listens on all interfaces and unpickles what comes in: anybody who reaches a port runs code. Here its sockets are
  Unix-domain sockets that only this user reaches (`unix_sockets`), and every message carries a keyed digest under a key
  of this start of the actor system; one without it is dropped unread. That keeps out the Admin and actors of an
  earlier run.
- A message to a frozen process is tried for 5 minutes, and 20 such messages stop all sending of their sender.
- An external context's `tell` returns only once all its earlier messages are through (see `maestro.actors.endpoint`).
- It puts every message into words, three times on its way, for log lines that are not written.
- It compares addresses by all the names this machine may have, and does so with every message on its way.
- It looks in all folders of modules, in each new process, for one that is not installed, to give the process a name.
- It lets 100 connections wait to be accepted; the 101st finds nobody, and tries again seconds later.
"""

import hmac
import os
import pickle
import resource
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

from thespian.system import multiprocTCPBase
from thespian.system import transport as intents
from thespian.system.transport import IPBase, TCPTransport, asyncTransportBase, streamBuffer

from maestro.actors.sockets import WholeAckBuffer
from maestro.actors.transport import LeanTransport
from maestro.actors.unix_sockets import sockets, use_ports
from maestro.ports import LOOPBACK

KEY_BYTES: Final = 32
#: Seconds that a message is tried for.
_TRANSMIT_SECONDS: Final = 8
#: Messages on their way to all receivers together; their senders keep each receiver's share small.
_PENDING_TRANSMITS: Final = 2000
#: Connections that wait to be accepted: those of all systems, while who is to accept them forks or computes.
_LISTEN_DEPTH: Final = 1024
_NAMES_PROCESSES: Final = "setproctitle"
_DIGEST: Final = "sha256"
_DIGEST_BYTES: Final = 32
_INTENT_IN_WORDS: Final = intents.TransmitIntent.identify
_ENVELOPE_IN_WORDS: Final = intents.ReceiveEnvelope.identify
_SAME_ADDRESS: Final = IPBase.IPActorAddress.__eq__


class SignedPickle:
    """Pickle with a keyed digest in front, in the shape of the `pickle` module that the transport calls."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # The transport's own acknowledgements bypass its serializer on the way out, but not on the way in.
        self._control = {pickle.dumps(text): text for text in (streamBuffer.ackPacket, streamBuffer.ackDataErrPacket)}

    def dumps(self, message: object) -> bytes:
        """Return the signed pickle of `message`."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        return hmac.digest(self._key, data, _DIGEST) + data

    def loads(self, data: bytes) -> Any:
        """Return the message in `data`.

        Raises:
            ValueError: the digest does not match: it is not from this run.
        """
        control = self._control.get(data)
        if control is not None:
            return control
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, hmac.digest(self._key, body, _DIGEST)):
            raise ValueError("a message that is not from this run")
        return pickle.loads(body)  # noqa: S301 - signed by this run


def install(key: bytes, data_dir: Path, log_file: Path) -> None:
    """Set up thespian's transport in this process; processes forked from it inherit that.

    Args:
        key: the key of this start of the actor system.
        data_dir: the data folder, where the sockets are (`unix_sockets.make_ports`).
        log_file: where thespian writes what it has to say about itself.
    """
    use_ports(data_dir)
    TCPTransport.socket = sockets()
    os.environ["THESPIAN_BASE_IPADDR"] = LOOPBACK
    os.environ["THESPLOG_FILE"] = str(log_file)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket or two per system
    signed = SignedPickle(key)
    if find_spec(_NAMES_PROCESSES) is None:
        sys.modules[_NAMES_PROCESSES] = None  # type: ignore[assignment]  # importing it fails at once
    TCPTransport.serializer = signed
    TCPTransport.ReceiveBuffer = WholeAckBuffer
    multiprocTCPBase.ActorSystemBase.transportType = LeanTransport
    IPBase.IPActorAddress.bindArgs = property(_bind_args)
    IPBase.IPActorAddress.__eq__ = _same_address
    TCPTransport.LISTEN_DEPTH = _LISTEN_DEPTH
    for kind, in_words in ((intents.TransmitIntent, _INTENT_IN_WORDS), (intents.ReceiveEnvelope, _ENVELOPE_IN_WORDS)):
        kind.__str__ = in_words
        kind.identify = _itself
    asyncTransportBase.MAX_PENDING_TRANSMITS = _PENDING_TRANSMITS
    intents.DEFAULT_MAX_TRANSMIT_PERIOD = timedelta(seconds=_TRANSMIT_SECONDS)


def _bind_args(address: Any) -> tuple[tuple[str, int]]:
    return (cast("tuple[str, int]", (LOOPBACK, address.bindname[1])),)


def _same_address(address: Any, other: Any) -> bool:
    """All are on this machine, so those whose ports differ differ; thespian knows the rest."""
    port, others = address.sockname[1], other.sockname[1]
    return (port == others or not port or not others) and bool(_SAME_ADDRESS(address, other))


def _itself(message: Any) -> Any:
    """What stands in for its words until a log line with it is written."""
    return message
