"""The demo's story on three nodes; one of them is killed in the middle of it, and started again.

    sandbox ──> load balancer ──> north, south, east ──> PostgreSQL, RabbitMQ
    the story's users and admin ─┘

Everything is of this program's own: ports, folders, on loopback only. The node that owns the story's system is killed
as soon as the first reprocessing is approved, all its processes at once. `scripts/cluster` sets up what this needs.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from rich.console import Console

from maestro.ports import free_port
from maestro.sandbox.demo.clients import CallFailed, Domain, EventManager, Maestro, Services
from maestro.sandbox.demo.plan import CannotPlan
from maestro.sandbox.demo.player import USER
from maestro.sandbox.demo.report import Report
from maestro.sandbox.demo.run import new_session, perform, watched
from maestro.sandbox.demo.show import Show
from maestro.sandbox.demo.stage import SERVE, ProcessDied, Stage, processes_of
from maestro.sandbox.demo.story import Plan
from maestro.sandbox.demo.waiting import GaveUp, until
from maestro.sandbox.launching import interruptible
from maestro.sandbox.options import BrokerKind
from maestro.sandbox.quotes.history import NoQuotes, load_history
from maestro.sandbox.quotes.story import make_plan, parse_currencies, parse_years
from maestro.settings.environment import VHOST
from maestro.statuses import Status
from scripts.load_balancer import LoadBalancer
from tests.support.postgres import NodeError as PostgresError
from tests.support.postgres import PostgresNode
from tests.support.rabbitmq import NodeError as RabbitMQError
from tests.support.rabbitmq import RabbitMQNode

NODES: Final = ("north", "south", "east")
#: Installed beside the story's system. By the hash of the names each node is to own two.
OTHERS: Final = ("contratos", "fronteiras", "intercambio", "medicao", "usinas")
#: Seconds for all of it; for all nodes to be ready; for others to own and serve what a lost node owned.
LIMIT, START, HEALED = 900.0, 180.0, 90.0
#: Seconds from the take-over to the lost node's new start.
AWAY: Final = 3.0
#: What the story says when a reprocessing begins to run.
_APPROVED: Final = f"{Status.APPROVED} by {USER}"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A system of the lost node: who owns it now, and the seconds after the kill when it did, and when it answered."""

    owner: str
    owned: float
    answered: float


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of the node that was killed; all times in seconds."""

    node: str
    #: System -> owner, just before.
    before: Mapping[str, str]
    systems: Mapping[str, TakenOver]
    #: From the kill to the new start, and from there until it was ready.
    away: float
    start: float


class Cluster(Stage):
    """The sandbox, a load balancer, and three nodes."""

    def __init__(self, system: str, store: PostgresNode, broker_url: str) -> None:
        """Prepare; nothing runs yet."""
        environ = {**os.environ, "MAESTRO_BROKER__URL": broker_url}
        super().__init__(system, BrokerKind.RABBITMQ, environ, others=OTHERS)
        self.systems = (system, *OTHERS)
        self._store, self._database = store, store.create_database()
        self._urls = {name: f"http://127.0.0.1:{free_port()}" for name in NODES}
        self._balancer = LoadBalancer(int(self.maestro_url.rpartition(":")[2]), list(self._urls.values()))

    async def _start_maestro(self) -> None:
        """Start all nodes, and wait until they are ready and own every system."""
        await self._balancer.__aenter__()
        for name in NODES:
            self.start_node(name)
        for name in NODES:
            await self.ready(name)

        async def all_owned() -> bool:
            self.check()
            return {*await self.owners()} >= {*self.systems}

        await until(all_owned, "all systems to be owned", START)

    async def end(self, problem: BaseException | None) -> None:
        """Stop all of it."""
        try:
            await super().end(problem)
        finally:
            await self._balancer.__aexit__()

    def start_node(self, name: str) -> None:
        """Start a node, which may have run before."""
        self._spawn(name, SERVE, {
            **self._maestro_environment(),
            "MAESTRO_DATA_DIR": str(self.data_dir / name),
            "MAESTRO_HTTP__PORT": self._urls[name].rpartition(":")[2],
            "MAESTRO_STORE__URL": self._store.url(self._database),
            "MAESTRO_CLUSTER__NAME": "demo",
            "MAESTRO_CLUSTER__NODE": name,
            # A commit whose answer a killed node did not hear counts as ended then; the sandbox's take milliseconds.
            "MAESTRO_PLATFORM__COMMIT_SETTLE": "1",
        })  # fmt: skip

    async def kill_node(self, name: str) -> None:
        """SIGKILL all processes of a node."""
        [running] = [one for one in self._running if one.name == name]
        self._running.remove(running)

        async def gone() -> bool:
            running.process.poll()
            left = processes_of(self.data_dir / name)
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        await until(gone, f"all processes of {name} to end", 10)

    async def ready(self, name: str) -> None:
        """Wait until a node is ready."""
        await self.ready_at(self._urls[name], name, START)

    async def owners(self) -> dict[str, str]:
        """Return the node that owns each system, as the database has it."""
        statement = "SELECT id, node FROM maestro.systems WHERE node <> ''"
        return dict(await asyncio.to_thread(self._store.execute, statement, self._database))

    async def lose(self, system: str, maestro: Maestro) -> Loss:
        """Kill the owner of a system, wait until the others have all that it owned, and start it again."""
        before = await self.owners()
        lost = before[system]
        killed = time.monotonic()
        await self.kill_node(lost)
        owned: dict[str, tuple[str, float]] = {}
        found: dict[str, TakenOver] = {}

        async def healed() -> bool:
            for one, owner in (await self.owners()).items():
                if before[one] == lost != owner:
                    owned.setdefault(one, (owner, time.monotonic() - killed))
            for one in owned.keys() - found.keys():
                with suppress(CallFailed):
                    status, _ = await maestro.answer("GET", f"/v1.0.0/systems/{one}")
                    if status == HTTPStatus.OK:
                        found[one] = TakenOver(*owned[one], time.monotonic() - killed)
            return len(found) == Counter(before.values())[lost]

        await until(healed, f"the systems of {lost} to be served by others", HEALED)
        await asyncio.sleep(AWAY)
        again = time.monotonic()
        self.start_node(lost)
        await self.ready(lost)
        return Loss(lost, before, found, again - killed, time.monotonic() - again)


class Telling(Show):
    """Shows the story, and notices when the first reprocessing is approved."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.approved = asyncio.Event()

    def says(self, text: str) -> None:
        """Print a line."""
        super().says(text)
        if text == _APPROVED:
            self.approved.set()


async def play(plan: Plan, store: PostgresNode, broker_url: str, console: Console) -> bool:
    """Play it all, and print the account; return whether the end is equal.

    Raises:
        ProcessDied, GaveUp, CallFailed, ExceptionGroup: it came to no end.
        TimeoutError: neither within `LIMIT`.
    """
    system = plan.story.system
    async with asyncio.timeout(LIMIT), Cluster(system, store, broker_url) as cluster, new_session() as session:
        services = Services(
            Maestro(session, cluster.maestro_url),
            EventManager(session, cluster.services["event_manager"]),
            Domain(session, cluster.services["domain"]),
        )
        with Telling(console) as show:

            async def lose() -> Loss:
                await show.approved.wait()
                show.says(f"the node that owns {system} is killed")
                loss = await cluster.lose(system, services.maestro)
                show.says(f"{loss.node} is a node again")
                return loss

            async def both() -> tuple[Report, Loss]:
                async with asyncio.TaskGroup() as group:
                    losing = group.create_task(lose())
                    report = await perform(plan, system, services, show)
                    if not show.approved.is_set():
                        raise GaveUp("no reprocessing was approved: no node was killed")
                return report, losing.result()

            report, loss = await watched(cluster, both())
        show.ends(report)
        for line in account(loss, await cluster.owners()):
            console.print(line, highlight=False, soft_wrap=True)
    return report.equal


def account(loss: Loss, after: Mapping[str, str]) -> list[str]:
    """Return what became of the nodes, in lines."""
    lines = [
        f"three nodes, {len(loss.before)} systems: {_shares(loss.before)}",
        f"{loss.node} was killed when a reprocessing had been approved, all its processes with SIGKILL",
    ]
    for system, one in sorted(loss.systems.items()):
        lines.append(
            f"  {system}: {one.owner} owned it after {one.owned:.1f} s, and answered after {one.answered:.1f} s"
        )
    lines.append(f"{loss.node} was started again after {loss.away:.1f} s, and was ready {loss.start:.1f} s later")
    # A system's counters begin anew where it moves to.
    return [*lines, f"in the end: {_shares(after)}; what waited and was replayed is counted since the last move"]


def _shares(owners: Mapping[str, str]) -> str:
    """Return how many systems each node owns, as text."""
    owned = Counter(owners.values())
    return ", ".join(f"{name} owns {owned[name]}" for name in NODES)


def main() -> int:
    """Start the servers, play, remove everything; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--currencies", default="BRL,USD,CHF", help="comma-separated (default: %(default)s)")
    parser.add_argument("--years", default="2008-2010", help="a year, or a range of years (default: %(default)s)")
    wishes = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        plan = make_plan(load_history(), parse_currencies(wishes.currencies), parse_years(wishes.years))
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="maestro-rabbitmq-"))
            store, broker = PostgresNode(), RabbitMQNode(Path(folder))
            stack.callback(store.close)
            stack.callback(broker.close)
            stack.callback(_undisturbed)
            store.start()
            broker.start()
            broker_url = broker.create_vhost(VHOST)
            return 0 if asyncio.run(interruptible(play(plan, store, broker_url, console))) else 1
    except (CannotPlan, NoQuotes) as problem:
        parser.error(str(problem))
    except (KeyboardInterrupt, asyncio.CancelledError):
        problem_text, status = "interrupted", 128 + signal.SIGINT
    except TimeoutError:
        problem_text, status = f"not ended within {LIMIT:.0f} s", 1
    except (ProcessDied, GaveUp, CallFailed, ExceptionGroup, PostgresError, RabbitMQError) as problem:
        problem_text, status = _told(problem), 1
    print(problem_text, file=sys.stderr)  # noqa: T201 - the program's last word
    return status


def _undisturbed() -> None:
    """Let no signal interrupt the removal of the servers."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _told(problem: Exception) -> str:
    """Return a problem as text, the first of a group's, with what was noted about it."""
    notes = getattr(problem, "__notes__", ())
    first: BaseException = problem
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return "\n".join([str(first) or repr(first), *notes])


if __name__ == "__main__":
    sys.exit(main())
