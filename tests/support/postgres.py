"""A real PostgreSQL of a test run's own: own port, own folder, loopback only; nothing of it outlives the run.

PostgreSQL does not run as root: there it gets Debian's user `postgres`. The server ends when the test process dies.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import trustme

from maestro.ports import free_port

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 30.0
PASSWORD: Final = "a-secret-of-the-tests"
_USER: Final = "postgres"
_UNPRIVILEGED: Final = "postgres"
# A crash of the process loses nothing that was written without a sync; only that of the machine would.
_OPTIONS: Final = ("fsync=off", "max_connections=60", "shared_buffers=16MB", "unix_socket_directories=",
                   "log_min_messages=fatal", "autovacuum_naptime=3600")  # fmt: skip


class NodeError(Exception):
    """The server did not start or stop."""


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest ones; None: it is not installed."""
    found = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    programs = [*([Path(found).resolve()] if found else []), *installed]
    return programs[-1].parent if programs else None


class PostgresNode:
    """One private server; it keeps its data over `stop` or `kill` and `start`. `options`: settings of its own.

    With `follows` it begins as a copy of that server, which runs, and is its standby until it is promoted.
    """

    def __init__(self, *options: str, follows: "PostgresNode | None" = None) -> None:
        programs = find_programs()
        if programs is None:
            raise NodeError("PostgreSQL is not installed")
        self._programs = programs
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="maestro-postgres-"))
        self._as: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, _UNPRIVILEGED)
            self._as = ["setpriv", "--reuid", _UNPRIVILEGED, "--regid", _UNPRIVILEGED, "--clear-groups"]
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._databases = 0
        try:
            if follows is None:
                self._make()
            else:
                self._copy(follows)
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        subprocess.run(
            [*self._as, self._programs / "initdb", "--pgdata", self._folder / "data", "--username", _USER, "--auth",
             "scram-sha-256", "--pwfile", secret, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd=self._folder, timeout=START_TIMEOUT,
        )  # fmt: skip

    def _copy(self, primary: "PostgresNode") -> None:
        subprocess.run(
            [*self._as, self._programs / "pg_basebackup", "--dbname", primary.url("replication"), "--pgdata",
             self._folder / "data", "--write-recovery-conf", "--checkpoint", "fast", "--no-sync"],
            check=True, capture_output=True, cwd=self._folder, timeout=START_TIMEOUT,
        )  # fmt: skip

    def url(self, database: str = "postgres", user: str = _USER, password: str = PASSWORD) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it serves. Raises `NodeError`."""
        options = (*_OPTIONS, *self._options, f"port={self.port}", "listen_addresses=127.0.0.1")
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*(self._as or ["setpriv"]), "--pdeathsig", "INT", self._programs / "postgres", "-D",
                 self._folder / "data", *(word for option in options for word in ("-c", option))],
                cwd=self._folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                with psycopg.connect(self.url(), connect_timeout=5):
                    return
            except psycopg.OperationalError as problem:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    text = (self._folder / "log").read_text(errors="replace")[-3000:]
                    raise NodeError(f"PostgreSQL does not serve: {problem}\n{text}") from problem
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server: connections are ended, what was committed stays."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server at once."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        self.thaw()
        children = self.processes()
        self._server.send_signal(how)
        try:
            self._server.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(STOP_TIMEOUT)
        self._server = None
        deadline = time.monotonic() + STOP_TIMEOUT
        while any(_lives(pid) for pid in children):  # they end by themselves; the next server waits for that
            if time.monotonic() > deadline:
                raise NodeError("processes of PostgreSQL do not end")
            time.sleep(0.01)

    def freeze(self) -> None:
        """Stop all its processes where they stand: connections stay open and say nothing."""
        for pid in self.processes():
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for pid in self.processes():
            _signal(pid, signal.SIGCONT)

    def processes(self) -> list[int]:
        """Return its processes, the main one first; none when it does not run."""
        if self._server is None:
            return []
        main = self._server.pid
        children = Path(f"/proc/{main}/task/{main}/children")
        return [main, *map(int, children.read_text().split())] if children.exists() else [main]

    def wait_for_standby(self) -> None:
        """Confirm no commit from now on before a standby has it; return once one has. Raises `NodeError`."""
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_TIMEOUT
        while self.execute("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            if time.monotonic() > deadline:
                raise NodeError("no standby follows")
            time.sleep(0.05)

    def promote(self) -> None:
        """Make a standby the primary. Raises `NodeError`."""
        promoted = subprocess.run(
            [*self._as, self._programs / "pg_ctl", "promote", "--pgdata", self._folder / "data", "--wait"],
            check=False, capture_output=True, text=True, cwd=self._folder, timeout=START_TIMEOUT,
        )  # fmt: skip
        if promoted.returncode:
            raise NodeError(f"the standby is not promoted: {promoted.stdout}{promoted.stderr}")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Carry a statement out as the administrator; return what it finds."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def create_database(self, owner: str = "") -> str:
        """Create a database, of a role of the same name that is made as well if `owner` is given; return its name."""
        self._databases += 1
        name = f"maestro{self._databases}"
        if owner:
            self.execute(f"CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}'")
        self.execute(f"CREATE DATABASE {name}" + (f" OWNER {owner}" if owner else ""))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def serve_tls(self, certificate: trustme.LeafCert | None) -> None:
        """Serve TLS under this certificate to who asks for it; None: no longer."""
        if certificate is not None:
            for name, blob in (
                ("server.crt", certificate.cert_chain_pems[0]),
                ("server.key", certificate.private_key_pem),
            ):
                path = self._folder / "data" / name
                path.write_bytes(blob.bytes())
                path.chmod(0o600)
                if self._as:
                    shutil.chown(path, _UNPRIVILEGED)
        self.execute(f"ALTER SYSTEM SET ssl = {'off' if certificate is None else 'on'}")
        self.execute("SELECT pg_reload_conf()")
        wanted = "off" if certificate is None else "on"
        deadline = time.monotonic() + START_TIMEOUT
        while self.execute("SHOW ssl") != [(wanted,)]:
            if time.monotonic() > deadline:
                raise NodeError(f"ssl is not {wanted}")

    def unprivileged(self, *command: str) -> list[str]:
        """Return what runs a command as the user that the server runs as, until the tests end."""
        return [*(self._as or ["setpriv"]), "--pdeathsig", "TERM", *command]

    @contextmanager
    def folder_for(self, name: str) -> Iterator[Path]:
        """Make a folder of that user, for as long as the context is open."""
        folder = self._folder / name
        folder.mkdir()
        if self._as:
            shutil.chown(folder, _UNPRIVILEGED)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def close(self) -> None:
        """End it and remove all of it."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
