"""The command lines `maestro sandbox` and `maestro demo`; the CLI registers both functions.

They import what they need when they run, so that `maestro --help` stays fast.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from maestro.sandbox.options import METERS_SYSTEM, SYSTEM, BrokerKind, EventManagerKind, StoryName

System = Annotated[
    list[str], typer.Option("--system", help="Installed system; may be given more than once. Each has all processes.")
]
Maestro = Annotated[
    str | None,
    typer.Option("--maestro", help="Base URL of Maestro; by default where its configuration has it listen."),
]
Broker = Annotated[
    BrokerKind | None,
    typer.Option("--broker", help="Where persist events are published; by default where Maestro takes them."),
]
BrokerDir = Annotated[
    Path | None, typer.Option(help="Folder of the embedded broker's queues; by default the one that Maestro takes.")
]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder of the domain; by default a temporary one, removed at the end.")
]
ReadyFile = Annotated[Path | None, typer.Option(help="Where to write the addresses (JSON) once everything listens.")]
Port = Annotated[int, typer.Option(help="0: a free port.")]
FreePorts = Annotated[bool, typer.Option("--free-ports", help="Take a free port for every service.")]
EventManager = Annotated[EventManagerKind, typer.Option(help="Which generation of the platform's Event Manager to be.")]
Trait = Annotated[
    list[str],
    typer.Option(
        "--trait",
        help="name=value: change how it behaves; may be given more than once. A wrong name lists them all.",
    ),
]
Kind = Annotated[
    bool, typer.Option("--kind", help="Nothing is late, forgotten or written twice, as on no real platform.")
]


#: What `maestro sandbox --help` ends with: the events that start a process instance.
_EVENTS: Final = """Market quotes:

push.quote.request {"currency", "date", "rate"}

rectify.quote.request {"currency", "date", "rate", "branch": only for a fork}

monthly.average.request {"currency", "month"}

yearly.rate.request {"currency", "year"}

convert.amount.request {"currency", "date", "amount", "name"}

running.total.request {"currency", "amount"}: reads what it writes

note.quote.request {"currency", "date"}: writes a new row each time

look.quote.request {"currency", "date"}: writes nothing

check.quote.request {"currency", "date", "limit"}: fails where the rate is over the limit

withdraw.quote.request {"currency", "date"}: destroys the quote

sync.average.request {"currency", "month"}: persists synchronously

chain.average.request {"currency", "month"}: hands its result on to a second process, which writes it

Energy meters, read each quarter of an hour:

push.reading.request {"meter", "at": "2024-03-01T00:15", "kwh"}

rectify.reading.request {"meter", "at", "kwh", "branch": only for a fork}

hourly.total.request {"meter", "hour": "2024-03-01T00"}

daily.total.request {"meter", "day"}

settle.month.request {"site", "month", "meters": [...], "price"}

bill.reading.request {"meter", "at", "price", "name"}

top.up.request {"meter", "kwh"}: reads what it writes"""
#: What the help of a command ends with.
EPILOGS: Final = {"sandbox": _EVENTS}


def sandbox(
    *,
    system: System = [SYSTEM, METERS_SYSTEM],  # noqa: B006 - typer copies it
    maestro: Maestro = None,
    broker: Broker = None,
    broker_dir: BrokerDir = None,
    data_dir: DataDir = None,
    ready_file: ReadyFile = None,
    process_memory_port: Port = 9091,
    discovery_port: Port = 8090,
    api_core_port: Port = 9110,
    domain_port: Port = 0,
    event_manager_port: Port = 8081,
    free_ports: FreePorts = False,
    event_manager: EventManager = EventManagerKind.Y2018,
    trait: Trait = [],  # noqa: B006 - typer copies it
    kind: Kind = False,
) -> None:
    """Serve a small real platform around Maestro, on loopback, and print its addresses as one line of JSON.

    It begins empty each time, and works beside a `maestro serve` of the same folder and environment, whose broker and
    port it finds in the configuration. It is as unkind as the real services: news come late or never, Discovery is
    blind for much, a second persist writes rows twice.

    A process instance is started with PUT <event_manager>/sendevent and {"name", "systemId", "payload"}. A payload that
    is wrong is refused at once, with the name of its field. The names and their payloads are at the end.

    PUT <event_manager>/sendevent?times=300 sends an event 300 times; {number} in a text of its payload becomes 1 to
    300. So one value gets hundreds of results, which its correction then impacts.
    """
    from maestro.sandbox.launching import launch_sandbox  # noqa: PLC0415 - keeps `maestro --help` fast

    ports = (process_memory_port, discovery_port, api_core_port, domain_port, event_manager_port)
    launch_sandbox(
        systems=tuple(system),
        maestro_url=maestro,
        broker=broker,
        broker_dir=broker_dir,
        ports=(0,) * len(ports) if free_ports else ports,
        data_dir=data_dir,
        ready_file=ready_file,
        traits=(f"event_manager={event_manager.value}", *trait),
        kind=kind,
    )


def demo(
    story: Annotated[StoryName, typer.Option(help="quotes: market quotes; meters: energy meters.")] = StoryName.QUOTES,
    currencies: Annotated[
        str | None, typer.Option(help="Quotes: currencies, comma-separated.", show_default="BRL,USD,CHF")
    ] = None,
    years: Annotated[
        str | None, typer.Option(help="Quotes: a year, or a range of years.", show_default="2008-2010")
    ] = None,
    meters: Annotated[int | None, typer.Option(help="Meters: how many.", show_default="3")] = None,
    days: Annotated[int | None, typer.Option(help="Meters: days of readings.", show_default="4")] = None,
    impact: Annotated[
        int, typer.Option(help="So many results more rest on the value whose correction is skipped, and kept held.")
    ] = 0,
    broker: Annotated[BrokerKind, typer.Option(help="rabbitmq: where RABBITMQ_* or MAESTRO_BROKER__URL say.")] = (
        BrokerKind.EMBEDDED
    ),
    as_json: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--json", help="Print one JSON object; the story goes to standard error.")
    ] = False,
    keep: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--keep", help="Leave all running, one correction held, and say where.")
    ] = False,
) -> None:
    """Play one of two stories on a small real platform, and check every result against a from-scratch computation.

    quotes: market quotes -> monthly averages -> yearly rates, on the European Central Bank's reference rates

    meters: meter readings -> hourly totals -> daily totals -> a month's settlement, on made-up load curves
    """
    from maestro.sandbox.launching import launch_demo  # noqa: PLC0415 - keeps `maestro --help` fast

    wishes = {"currencies": currencies, "years": years, "meters": meters, "days": days, "impact": impact}
    launch_demo(story=story, wishes=wishes, broker=broker, as_json=as_json, keep=keep)
