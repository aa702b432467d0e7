"""What a benchmark runs on: a private RabbitMQ node, the double, and `maestro serve`, each a process of its own."""

import itertools
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pika
import pika.exceptions

from maestro.broker.topology import EVENTS_PUBLISH, PERSIST, SystemQueues
from maestro.events import celery_body
from maestro.ports import free_port
from tests.support.rabbitmq import RabbitMQNode

ROOT = Path(__file__).parents[1]
START_TIMEOUT = 120.0
#: Seconds after which a start is over: all queues are made by then, and the wait queues have been looked at.
SETTLED = 10.0


class BenchError(Exception):
    """Something that must happen did not, or not in time."""


def http(url: str, method: str = "GET", body: Any = None, timeout: float = 30.0) -> Any:
    """Return the decoded answer."""
    data = None if body is None else orjson.dumps(body)
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        text = answer.read()
    return orjson.loads(text) if text[:1] in (b"[", b"{") else text


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 60.0, pause: float = 0.02) -> Any:
    """Return what `condition` returns once it is true. Raises `BenchError` when it is not in time."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise BenchError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)
    return found


def run(*arguments: object) -> Any:
    """Run a module of this package and return the JSON it prints."""
    command = [sys.executable, "-m", *map(str, arguments)]
    return orjson.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300).stdout)


@contextmanager
def background(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of this package until the context is left; it ends when its stdin closes."""
    process = subprocess.Popen([sys.executable, "-m", *map(str, arguments)], cwd=ROOT, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Double:
    """The benchmark's side of `benchmarks.double`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def config(self, **settings: object) -> None:
        http(f"{self.url}/_config?" + "&".join(f"{name}={value}" for name, value in settings.items()))

    def reset(self) -> None:
        http(f"{self.url}/_reset")

    def state(self) -> dict[str, int]:
        found: dict[str, int] = http(f"{self.url}/_state")
        return found

    def commits(self) -> list[tuple[str, int]]:
        """Return (instance, when in ns) of each commit, in order."""
        lines = http(f"{self.url}/_commits").decode().splitlines()
        return [(instance, int(at)) for instance, at in (line.rsplit(" ", 1) for line in lines)]

    def sends(self) -> list[int]:
        found: list[int] = http(f"{self.url}/_sends")
        return found


class Maestro:
    """One `maestro serve`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "maestro.log"
        self.environment = environment | {"PORT": str(self.port), "MAESTRO_DATA_DIR": str(self.data_dir)}
        self.process: subprocess.Popen[bytes]

    def start(self, systems: Sequence[str]) -> float:
        """Start it; return the seconds until it was ready for all `systems`."""
        began = time.monotonic()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "maestro.cli.main", "serve"],
                cwd=ROOT, env=os.environ | self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(lambda: self._ready(set(systems)), "maestro is ready", START_TIMEOUT)
        return time.monotonic() - began

    def _ready(self, systems: set[str]) -> bool:
        if self.process.poll() is not None:
            raise BenchError(f"maestro ended with {self.process.returncode}:\n{self._log.read_text()[-3000:]}")
        try:
            http(f"{self.url}/readyz", timeout=5)
            return systems <= {one["id"] for one in http(f"{self.url}/v1.0.0/systems", timeout=5)}
        except (urllib.error.URLError, OSError):
            return False

    def system(self, system_id: str) -> dict[str, Any]:
        found: dict[str, Any] = http(f"{self.url}/v1.0.0/systems/{system_id}")
        return found

    def pending(self, system_id: str) -> list[dict[str, Any]]:
        """Return the pending reprocessings; none while the system is starting."""
        try:
            found: list[dict[str, Any]] = http(f"{self.url}/v1.0.0/reprocessing/{system_id}/pending")
        except urllib.error.HTTPError:
            return []
        return found

    def approve(self, document: str) -> float:
        """Return the seconds until it was answered."""
        began = time.monotonic()
        self._decide(document, "approve")
        return time.monotonic() - began

    def skip(self, document: str) -> None:
        self._decide(document, "skip")

    def cancel(self, document: str) -> None:
        self._decide(document, "cancel")

    def _decide(self, document: str, how: str) -> None:
        http(f"{self.url}/v1.0.0/reprocessing/{document}/{how}", "POST", {"user": "bench"}, timeout=60)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        complaints = self._log.read_text().strip().splitlines()[1:]
        if complaints:
            print(f"maestro said {len(complaints)} lines, the last: {complaints[-1][:300]}", file=sys.stderr)


class Bench:
    """The machine room: one node and one double for all rows, a Maestro for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._vhosts = 0
        (folder / "rabbitmq").mkdir()
        self.node = RabbitMQNode(folder / "rabbitmq")
        self._double_port = free_port()

    def vhost(self, name: str) -> str:
        """Create a vhost as Event Manager leaves it; return its URL."""
        url = self.node.create_vhost(name)
        _declare_event_manager(url)
        return url

    @contextmanager
    def stage(self, systems: Sequence[str], **environment: str) -> Iterator["Stage"]:
        """Set up an empty vhost, the double and Maestro, which serves `systems`."""
        number = next(self._numbers)
        folder = self.folder / f"run{number}"
        folder.mkdir()
        vhost = f"bench-{number}"
        url = self.vhost(vhost)
        try:
            with background("benchmarks.double", self._double_port, url):
                double = Double(self._double_port)
                wait_for(lambda: _answers(double), "the double answers")
                double.config(systems=",".join(systems))
                yield Stage(self, folder, url, double, systems, environment)
        finally:
            self.node.delete_vhost(vhost)


class Stage:
    """One Maestro at work."""

    def __init__(
        self, bench: Bench, folder: Path, url: str, double: Double, systems: Sequence[str], environment: dict[str, str]
    ) -> None:
        self.bench = bench
        self.url = url
        self.double = double
        self.systems = systems
        siblings = {
            f"{name}_{key}": value
            for name in ("APICORE", "DISCOVERY", "PROCESS_MEMORY", "EVENT_MANAGER")
            for key, value in (("SCHEME", "http"), ("HOST", "127.0.0.1"), ("PORT", str(double.port)))
        }
        self.maestro = Maestro(
            folder, siblings | {"MAESTRO_BROKER__URL": url, "MAESTRO_LOG__LEVEL": "warning"} | environment
        )

    @contextmanager
    def serving(self) -> Iterator[float]:
        """Run Maestro; yields the seconds its start took."""
        try:
            yield self.maestro.start(self.systems)
        finally:
            with suppress(ProcessLookupError):
                self.maestro.stop()

    @contextmanager
    def asking(self, *paths: str, pause: float = 0.02) -> Iterator["Questions"]:
        """Put questions now and then while the context lasts; they are answered by the time it is left."""
        command = [sys.executable, "-m", "benchmarks.probe", str(self.maestro.port), str(pause), *paths]
        questions = Questions()
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                process.stdout.readline()
                yield questions
            except BaseException:
                process.kill()
                raise
            questions.found = orjson.loads(process.communicate(timeout=60)[0])

    def open_publisher(self) -> "Publisher":
        """Return a publisher whether or not anybody consumes; to be closed."""
        return Publisher(self.url)

    @contextmanager
    def publisher(self, timeout: float = 60.0) -> Iterator["Publisher"]:
        """Yield a publisher once every system's queue is consumed."""
        publisher = self.open_publisher()
        try:
            for system in self.systems:
                queue = SystemQueues(system).persist
                wait_for(lambda queue=queue: publisher.consumed(queue), f"{queue} is consumed", timeout)
            yield publisher
        finally:
            publisher.close()

    def committed(self, count: int, timeout: float) -> None:
        """Wait until the double has seen `count` commits."""
        wait_for(lambda: self.double.state()["commits"] >= count, f"{count} commits", timeout, pause=0.05)


class Questions:
    """How questions were answered that were put beside the work: by path, percentiles and the longest in ms."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    @property
    def slowest(self) -> float:
        """The longest answer in ms."""
        return max(one["max ms"] for one in self.found.values())


def one_waiting(system: str) -> str:
    """Return the path of a question that the system's process answers, shortly whatever a reprocessing's size."""
    return f"/v1.0.0/systems/{system}/waiting?limit=1"


class Publisher:
    """The platform's side of the persist queues."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._properties = pika.BasicProperties(
            content_type="application/json", content_encoding="utf-8", delivery_mode=2
        )
        self._numbers = itertools.count(1)
        self._name = f"{time.monotonic_ns():x}"

    def event(self, system: str, what: str = "", payload: str = "x" * 600, *, queue: str = "") -> str:
        """Publish one persist event, or put it on another queue. Returns its instance id, which ends with when (ns)."""
        number = next(self._numbers)
        instance = f"{system}--{what}{number}-{time.monotonic_ns()}"
        body = (
            f'{{"task":"tasks.process","id":"{self._name}-{number}","args":[{{"name":"{system}.persist.request",'
            f'"systemId":"{system}","instanceId":"{instance}","tag":"tag-{number}","branch":"master",'
            f'"scope":"execution","timestamp":"2018-07-20T15:08:41.884268","version":"1","image":"registry/app:1",'
            f'"payload":{{"text":"{payload}"}}}}],"retries":0,"utc":true}}'
        )
        exchange, key = ("", queue) if queue else (PERSIST, system)
        self._channel.basic_publish(exchange, key, body.encode(), self._properties)
        return instance

    def body(self, system: str, event: dict[str, Any]) -> None:
        """Publish a persist event that is given whole."""
        id_ = f"{self._name}-{next(self._numbers)}"
        self._channel.basic_publish(PERSIST, system, celery_body(id_, orjson.dumps(event)), self._properties)

    def declare(self, queue: str) -> None:
        """Declare a queue of the benchmark's own."""
        self._channel.queue_declare(queue, durable=True)

    def depth(self, queue: str) -> int:
        """Return the ready messages of a queue, once the broker has taken all that was published."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def consumed(self, queue: str) -> bool:
        """Whether the queue is there and has a consumer."""
        try:
            return bool(self._channel.queue_declare(queue, passive=True).method.consumer_count)
        except pika.exceptions.ChannelClosedByBroker:
            self._channel = self._connection.channel()
            return False

    def close(self) -> None:
        self._connection.close()


def _declare_event_manager(url: str) -> None:
    """Declare the exchange that is Event Manager's own."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().exchange_declare(EVENTS_PUBLISH, "topic", durable=True)
    connection.close()


def _answers(double: Double) -> bool:
    try:
        double.state()
    except (urllib.error.URLError, OSError):
        return False
    return True
