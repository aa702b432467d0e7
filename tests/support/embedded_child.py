"""A process that uses the embedded broker until it is killed. Arguments: folder, what to do, its name.

`publish`: publishes one message after another, and prints each message's id once it is confirmed.
`hold`: consumes the persist queue without acknowledging, and prints each id it was given.
`fork`: the same, with a child of its own, whose process id it prints, that lives on for a while.
"""

import asyncio
import itertools
import os
import sys
import time
from pathlib import Path

from maestro.broker.base import Delivery, Message
from maestro.broker.embedded import EmbeddedBroker
from maestro.broker.topology import PERSIST, SystemQueues
from maestro.settings.servers import BrokerSettings


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fork_sleeper() -> int:
    child = os.fork()
    if child == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    return child


async def main(folder: str, task: str, name: str) -> None:
    broker = EmbeddedBroker(Path(folder), BrokerSettings())
    await broker.start()
    queues = SystemQueues("sysA")
    await broker.declare(queues.bindings())

    def told(delivery: Delivery) -> None:
        say(delivery.message_id)

    if task in ("hold", "fork"):
        await broker.consume(queues.persist, 100, told, lambda: None)
        say(str(fork_sleeper()) if task == "fork" else "consuming")
        await asyncio.Event().wait()
    for number in itertools.count():
        await broker.publish(PERSIST, "sysA", Message(b"{}", f"{name}{number}"))
        say(f"{name}{number}")


asyncio.run(main(*sys.argv[1:]))
