"""A real RabbitMQ node of a test run's own, or a cluster of them: own ports, own folders, own epmd, own cookie.

Nothing of it outlives the run.

The node's Erlang shell reads our pipe (`RABBITMQ_ALLOW_INPUT`). That makes administration take milliseconds
instead of the seconds that `rabbitmqctl` needs, and ends the node when the test process dies: its stdin closes.
"""

import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from maestro.ports import free_port, free_ports

START_TIMEOUT: Final = 120.0
STOP_TIMEOUT: Final = 30.0
EVAL_TIMEOUT: Final = 20.0
DELETE_TIMEOUT: Final = 120.0
USER: Final = "maestro"
PASSWORD: Final = "a-secret-of-the-tests"

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
loopback_users = none
disk_free_limit.absolute = 10MB
log.file.level = warning
"""
#: Of a node of a cluster. At its first start it joins `first`, which runs. One that stood still for so long that the
#: others took it for gone begins anew once it goes on.
_CONFIG_IN_CLUSTER = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {first}
cluster_partition_handling = autoheal
"""
#: Seconds, within a quarter more or less, after which nodes of a cluster take one that stands still for gone.
_NET_TICK: Final = 8
#: Runs the command given as arguments until its stdin closes or it dies, so that it cannot outlive the tests.
_TIED = '"$@" & child=$!; read _; kill $child; wait $child'


class NodeError(Exception):
    """The node did not start, stop or answer."""


def find_server() -> Path | None:
    """Return the folder of RabbitMQ's own scripts (not the Debian wrappers, which switch user), or None."""
    candidates = [*Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")]
    found = shutil.which("rabbitmq-server")
    if found:
        candidates.append(Path(found).resolve())
    return next((path.parent for path in candidates if path.is_file()), None)


def _stands(thread: Path) -> bool:
    """Whether a thread is stopped by a signal."""
    state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Return once `condition()` holds. Raises `NodeError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise NodeError(f"no {what} within {timeout:g} s")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Epmd:
    """Erlang's own port mapper, for the nodes that know its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs. Raises `NodeError`."""
        if self._process is not None:
            return
        program = shutil.which("epmd") or "epmd"
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _TIED, "epmd", program, "-port", str(self.port), "-address", "127.0.0.1"],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: _listens(self.port), START_TIMEOUT, "listening epmd")

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(STOP_TIMEOUT)
            self._process = None


class RabbitMQNode:
    """One private node in `folder`, which must be empty; it keeps its data over `stop` or `kill` and `start`.

    It may be of a cluster, whose nodes share an `epmd` and a `cookie`; all but the first join the `first` one.
    """

    def __init__(
        self, folder: Path, epmd: _Epmd | None = None, cookie: str = "", first: "RabbitMQNode | None" = None
    ) -> None:
        server = find_server()
        if server is None:
            raise NodeError("rabbitmq-server is not installed")
        self._sbin = server
        self._folder = folder
        self.port, self._dist_port = free_ports(2)
        self._own_epmd = epmd is None
        self._epmd = epmd or _Epmd()
        self._cookie = cookie
        self._first = first or self
        self._node: subprocess.Popen[bytes] | None = None
        self._calls = itertools.count(1)

    def url(self, vhost: str = "/", password: str = PASSWORD) -> str:
        """Return the AMQP URL of `vhost`."""
        return f"amqp://{USER}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start the node and wait until it serves. Raises `NodeError`."""
        self._epmd.start()
        environment = self._environment()
        with (self._folder / "console.log").open("ab") as console:
            self._node = subprocess.Popen(
                [self._sbin / "rabbitmq-server"],
                cwd=self._folder,
                env=environment,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: self._alive() and _listens(self.port), START_TIMEOUT, "listening RabbitMQ")
            self.eval("rabbit:await_startup()")
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Its process. Raises `NodeError` when it does not run."""
        if self._node is None:
            raise NodeError("RabbitMQ does not run")
        return self._node.pid

    def stop(self) -> None:
        """Stop the node in good order: what it confirmed stays."""
        if self._node is None or self._node.stdin is None:
            return
        self._node.stdin.write(b"init:stop().\n")
        self._node.stdin.flush()
        try:
            self._node.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget_node()

    def kill(self) -> None:
        """Kill the node at once, as a power cut would."""
        if self._node is not None:
            self._node.kill()
            self._node.wait(STOP_TIMEOUT)
        self._forget_node()

    def freeze(self) -> None:
        """Stop the node's process where it stands, all its threads: its sockets stay open and say nothing."""
        if self._node is not None:
            self._node.send_signal(signal.SIGSTOP)
            threads = Path(f"/proc/{self._node.pid}/task")
            wait_until(lambda: all(_stands(thread) for thread in threads.iterdir()), 10, "standing still of the node")

    def thaw(self) -> None:
        """Let it go on."""
        if self._node is not None:
            self._node.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End everything that was started here."""
        self.stop()
        if self._own_epmd:
            self._epmd.close()

    @property
    def name(self) -> str:
        """What Erlang calls it."""
        return f"maestro-{self.port}@localhost"

    def create_vhost(self, name: str, metadata: str = "#{}") -> str:
        """Create a vhost that the tests' user may use; return its URL."""
        self.eval(
            f'begin rabbit_vhost:add(<<"{name}">>, {metadata}, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, <<"{name}">>, '
            '<<".*">>, <<".*">>, <<".*">>, <<"tests">>) end'
        )
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost and all in it, which may be thousands of queues."""
        self.eval(f'rabbit_vhost:delete(<<"{name}">>, <<"tests">>)', DELETE_TIMEOUT)

    def delete_queue(self, vhost: str, queue: str) -> None:
        """Delete a queue with its messages, whoever consumes it."""
        self.eval(
            f'begin {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)), '
            'rabbit_amqqueue:delete(Q, false, false, <<"tests">>) end'
        )

    def delete_exchange(self, vhost: str, exchange: str) -> None:
        """Delete an exchange with its bindings."""
        self.eval(
            f'rabbit_exchange:delete(rabbit_misc:r(<<"{vhost}">>, exchange, <<"{exchange}">>), false, <<"tests">>)'
        )

    def set_variable(self, name: str, value: str) -> str:
        """Set a variable of RabbitMQ's application for what is opened from now on; return what it was."""
        before = self.eval(f"element(2, application:get_env(rabbit, {name}))")
        self.eval(f"application:set_env(rabbit, {name}, {value})")
        return before

    def list_queues(self, vhost: str) -> dict[str, int]:
        """Return each queue of `vhost` with the number of its messages, ready and unacknowledged."""
        listing = self.eval(
            "[[element(4, proplists:get_value(name, I)), proplists:get_value(messages, I)] || "
            f'I <- rabbit_amqqueue:info_all(<<"{vhost}">>, [name, messages])]'
        )
        return dict(json.loads(listing.replace("<<", "").replace(">>", "") or "[]"))

    def close_connections(self) -> None:
        """Make the node close every client's connection."""
        self.eval('[rabbit_networking:close_connection(P, "test") || P <- rabbit_networking:connections()]')

    def eval(self, expression: str, timeout: float = EVAL_TIMEOUT) -> str:
        """Evaluate an Erlang expression on the node; return its value as Erlang prints it. Raises `NodeError`."""
        if self._node is None or self._node.stdin is None:
            raise NodeError("the node does not run")
        answer = self._folder / f"answer-{next(self._calls)}"
        self._node.stdin.write(
            (
                f'begin file:write_file("{answer}.new", io_lib:format("~0p", [catch {expression}])), '
                f'file:rename("{answer}.new", "{answer}") end, f().\n'
            ).encode()
        )
        self._node.stdin.flush()
        wait_until(answer.exists, timeout, f"answer to {expression}")
        text = answer.read_text()
        answer.unlink()
        if text.startswith("{'EXIT'"):
            raise NodeError(f"{expression}: {text[:2000]}")
        return text

    def _environment(self) -> dict[str, str]:
        config = self._folder / "rabbitmq.conf"
        lines = _CONFIG + (_CONFIG_IN_CLUSTER if self._cookie else "")
        config.write_text(lines.format(port=self.port, user=USER, password=PASSWORD, first=self._first.name))
        plugins = self._folder / "plugins"
        plugins.write_text("[].\n")
        nothing = self._folder / "environment"
        nothing.touch()
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": str(nothing),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} "
                "+S 1:1 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none"
                + (f" -setcookie {self._cookie} -kernel net_ticktime {_NET_TICK}" if self._cookie else "")
            ),
        }

    def _alive(self) -> bool:
        if self._node is None or self._node.poll() is not None:
            log = (self._folder / "console.log").read_text(errors="replace")
            raise NodeError(f"RabbitMQ ended while starting:\n{log[-3000:]}")
        return True

    def _forget_node(self) -> None:
        if self._node is not None and self._node.stdin is not None:
            self._node.stdin.close()
        self._node = None


class RabbitMQCluster:
    """Private nodes in `folder`, which must be empty, joined to one cluster. Their queues are quorum queues."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        self._epmd = _Epmd()
        cookie = secrets.token_hex(16)
        self.nodes: list[RabbitMQNode] = []
        for number in range(1, count + 1):
            own = folder / f"broker{number}"
            own.mkdir()
            self.nodes.append(RabbitMQNode(own, self._epmd, cookie, next(iter(self.nodes), None)))

    def start(self) -> None:
        """Start the nodes, the first one first. Raises `NodeError`."""
        self.nodes[0].start()
        with ThreadPoolExecutor() as threads:
            list(threads.map(RabbitMQNode.start, self.nodes[1:]))
        if self.running() != len(self.nodes):
            raise NodeError(f"{self.running()} of {len(self.nodes)} nodes make up the cluster")

    def close(self) -> None:
        """End everything that was started here."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(RabbitMQNode.close, self.nodes))
        self._epmd.close()

    def url(self, vhost: str, first: int = 0) -> str:
        """Return the URLs of the nodes for a vhost, with blanks between; begins with node number `first`."""
        return " ".join(node.url(vhost) for node in (*self.nodes[first:], *self.nodes[:first]))

    def create_vhost(self, name: str) -> None:
        """Create a vhost whose queues are quorum queues, unless who declares one says otherwise."""
        self.nodes[0].create_vhost(name, '#{default_queue_type => <<"quorum">>}')

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost and all in it."""
        self.nodes[0].delete_vhost(name)

    def running(self) -> int:
        """Return how many nodes most of them see."""
        seen = [int(node.eval("length(rabbit_nodes:all_running())")) for node in self.nodes]
        return max(set(seen), key=seen.count)
