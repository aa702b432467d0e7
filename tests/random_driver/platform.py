"""The platform as this driver sees it: who reads what, what Domain has stored, and what Event Manager was sent."""

from dataclasses import dataclass, field
from random import Random

import orjson

from maestro.rules.impact import Impacted, Origin


@dataclass
class Run:
    """One run of a process: an original one, or a replay (`of`, `document`)."""

    id: str
    writes: str
    reads: frozenset[str]
    branch: str = "master"
    fork: bool = False
    of: str = ""
    document: str = ""
    #: How often Domain stored its data.
    stored: int = 0
    #: Its events on the broker may be several: a message may come twice, or be redriven.
    messages: int = 0
    #: Why it can never be replayed; empty: it can.
    trouble: str = ""
    #: It creates nothing: storing it a second time changes nothing, unless another one was stored between.
    harmless: bool = False


@dataclass
class Platform:
    """One system's platform."""

    system: str
    dice: Random
    runs: dict[str, Run] = field(default_factory=dict)
    replays: int = 0
    #: Whose data Domain stored, in order.
    log: list[str] = field(default_factory=list)

    def begin(self) -> Run:
        """Start a process that corrects an input, or one that computes from inputs and earlier results."""
        number = len(self.runs)
        reads: frozenset[str] = frozenset()
        writes = self.dice.choice(("a", "b"))
        if self.dice.random() < 0.6:
            known = [
                "a",
                "b",
                *(run.writes for run in self.runs.values() if run.writes.startswith("own") and not run.of),
            ]
            reads, writes = frozenset(self.dice.sample(known, min(2, len(known)))), f"own{number}"
        fork = self.dice.random() < 0.15
        trouble = self.dice.choice((*[""] * 20, "no origin", "no subscriber", "fails"))
        harmless = self.dice.random() < 0.3
        run = Run(f"{self.system}-{number}", writes, reads, "b1" if fork else "master", fork, trouble=trouble,
                  harmless=harmless)  # fmt: skip
        self.runs[run.id] = run
        return run

    def impacted(self, instance: str) -> tuple[Impacted, ...]:
        """Discovery: stored originals that read what the instance writes, itself at times among them."""
        asked = self.runs[instance]
        branch = asked.branch
        found = [
            Impacted(run.id, branch, asked.fork)
            for run in self.runs.values()
            if run.stored and not run.of and run.branch == "master" and asked.writes in run.reads
        ]
        if self.dice.random() < 0.1:
            found.append(Impacted(instance, branch))
        self.dice.shuffle(found)
        return tuple(found)

    def origins(self, units: tuple[Impacted, ...]) -> tuple[Origin, ...]:
        """Process Memory."""
        return tuple(Origin(unit, self.origin(unit.instance_id), "2018-07-20T15:00:00") for unit in units)

    def origin(self, instance: str) -> bytes:
        """Return an instance's origin event; empty when it has none."""
        if self.runs[instance].trouble == "no origin":
            return b""
        return orjson.dumps({"name": "p", "instanceId": instance, "systemId": self.system, "tag": "t"})

    def replay(self, event: bytes) -> tuple[Run, bytes]:
        """Event Manager takes a replay: return its run, and the persist event that it will send."""
        sent = orjson.loads(event)
        ref, original = sent["reprocessing"], self.runs[sent["reprocessing"]["instance_id"]]
        self.replays += 1
        run = Run(f"{original.id}~{self.replays}", original.writes, original.reads, sent["branch"], of=original.id,
                  document=ref["id"], trouble=original.trouble, harmless=original.harmless)  # fmt: skip
        self.runs[run.id] = run
        fields = {"name": "s.persist.request", "systemId": self.system, "instanceId": run.id, "branch": run.branch}
        return run, orjson.dumps({**fields, "scope": "reprocessing", "reprocessing": ref})

    def event(self, run: Run) -> bytes:
        """Return an original's persist event."""
        fields = {"name": "s.persist.request", "systemId": self.system, "instanceId": run.id, "branch": run.branch}
        return orjson.dumps({**fields, "tag": "t"})
