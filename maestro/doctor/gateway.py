"""Whether Maestro runs, answers, and is ready."""

from collections.abc import Iterator
from typing import Final

from maestro.doctor.broker import broker_mend
from maestro.doctor.finding import Finding, ok, problem, warning
from maestro.doctor.site import Site

CHECK: Final = "gateway"
_START: Final = "maestro serve"
_DENIED: Final = (401, 403)
#: How it is said, in small letters, that the broker's events are another Maestro's (`ingress/ownership.py`).
_FOREIGN: Final = ("events of this vhost belong to", "another maestro is connected to this vhost")


async def check_gateway(site: Site) -> list[Finding]:
    """Whether the gateway can be reached and all parts behind it are ready."""
    return list(_findings(site))


def _findings(site: Site) -> Iterator[Finding]:
    url = site.maestro.target.url
    if site.unreachable:
        yield _silent(site, url)
    elif site.refused is not None:
        yield _refused(site, url)
    elif site.not_ready:
        for part, why in site.not_ready.items():
            yield problem(CHECK, part, f"not ready: {why}", _mend(site, part, why))
    else:
        yield ok(CHECK, url, f"ready; serves {len(site.served)} system(s)")
    if site.elsewhere:
        folder = site.settings.data_dir.absolute()
        message = (
            f"is not the Maestro of {folder}, whose processes, stores and queues are looked at; the configuration "
            "here, and the siblings that it names, may not be this Maestro's: left out"
        )
        yield warning(CHECK, url, message, "unset MAESTRO_URL; or maestro doctor --config <its file>")
    for system in site.served:
        if system.stalled is not None:
            stall = system.stalled
            message = f"stalled since {stall.since}, {stall.sibling} is waited for: {stall.cause}"
            mend = f"look at {stall.sibling}; if only the event is at fault: maestro set-aside {system.id} --reason …"
            yield problem(CHECK, system.id, message, mend)
        if system.doubts:
            message = f"{system.doubts} commit(s) in doubt: a person must say what became of them"
            yield problem(CHECK, system.id, message, f"maestro doubts list {system.id}; then maestro doubts resolve")
        if system.state == "unavailable" and f"system {system.id}" not in site.not_ready:
            yield problem(
                CHECK, system.id, f"does not answer: {system.message}", _mend(site, system.id, system.message)
            )


def _silent(site: Site, url: str) -> Finding:
    if site.runs and site.record is not None:
        pid = site.record.main.pid
        return problem(CHECK, url, f"process {pid} runs, but {site.unreachable}", f"kill -TERM {pid}; {_START}")
    return problem(CHECK, url, f"Maestro does not run ({site.unreachable})", _START)


def _refused(site: Site, url: str) -> Finding:
    assert site.refused is not None
    if site.refused.status in _DENIED:
        mend = "maestro token add doctor --role viewer, then MAESTRO_TOKEN=<it> maestro doctor"
        return problem(CHECK, url, f"tells nothing without a token that may look: {site.refused}", mend)
    return problem(CHECK, url, f"answered {site.refused.status}: {site.refused}", f"curl -sS {url}/readyz")


def _mend(site: Site, part: str, why: str) -> str:
    text = f"{part}: {why}".lower()
    folder = site.settings.data_dir
    if any(foreign in text for foreign in _FOREIGN):
        return "start the Maestro that owns them; or, with this one stopped: maestro adopt"
    if "broker" in text:
        return broker_mend(site.settings.broker, text)
    if "space" in text or "disk" in text or "i/o" in text:
        return f"df -h {folder}, and make space there; it recovers by itself"
    if "damaged" in text or "acknowledged" in text or "checksum" in text:
        return f"maestro restore <backup folder> --system {part.removeprefix('system ')}"
    if "owned by process" in text:
        return f"ps -fp {text.rpartition('process ')[2].split()[0]}, and end it if it is no Maestro's"
    pid = site.record.main.pid if site.record else "<pid>"
    return f"wait 20 s: it is replaced without your help; if it stays: kill -TERM {pid}; {_START}"
