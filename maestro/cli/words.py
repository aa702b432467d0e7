"""The codes that tables show, named for translation. English shows a code as it is; JSON and options always do."""

from typing import Final

from maestro.language import mark

STATUSES: Final = (
    mark("pending_approval"),
    mark("approved"),
    mark("running"),
    mark("running_without_lock"),
    mark("paused"),
    mark("finished"),
    mark("skipped"),
    mark("failure"),
    mark("aborted_split_events_failure"),
    mark("aborted_persist_domain_failure"),
    mark("cancelled"),
)
SYSTEMS: Final = (
    mark("open"),
    mark("draining"),
    mark("stalled"),
    mark("pending"),
    mark("approved"),
    mark("running"),
    mark("paused"),
    mark("passivated"),
    mark("unavailable"),
)
UNITS: Final = (
    mark("outstanding"),
    mark("sending"),
    mark("sent"),
    mark("assessing"),
    mark("committing"),
    mark("done"),
    mark("set_aside"),
    mark("left_out"),
)
STALE: Final = (
    mark("stale"),
    mark("unverified"),
    mark("not_remembered"),
    mark("overwrite"),
    mark("accepted"),
    mark("left_out"),
)
TODO: Final = (
    mark("pending"),
    mark("late"),
    mark("paused"),
    mark("unreplayable"),
    mark("doubt"),
    mark("stalled"),
    mark("failed"),
    mark("cancelled"),
    mark("errors"),
    mark("unavailable"),
)
DOUBTS: Final = (mark("open"), mark("in hand"), mark("resolved"), mark("made"), mark("make_again"))
DOCTOR: Final = (
    mark("ok"),
    mark("warning"),
    mark("problem"),
    mark("configuration"),
    mark("gateway"),
    mark("processes"),
    mark("disk"),
    mark("store"),
    mark("broker"),
    mark("queues"),
    mark("siblings"),
    mark("reprocessing"),
    mark("clock"),
    mark("environment"),
    mark("settings"),
    mark("defaults and environment"),
    mark("all"),
)
