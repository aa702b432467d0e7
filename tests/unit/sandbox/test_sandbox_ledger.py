from collections.abc import Collection, Sequence

from maestro.sandbox.ledger import Key, Ledger, ReadRecord, Run, Unit

Q, A, R = Key("quote", "q"), Key("average", "a"), Key("rate", "r")


def run(
    instance: str,
    reads: list[Key],
    write: Key,
    branch: str = "master",
    replay_of: Unit | None = None,
    *,
    reprocessable: bool = True,
) -> Run:
    return Run(
        instance=instance,
        system="s",
        process="p",
        branch=branch,
        scope="execution",
        reprocessable=reprocessable,
        reads=tuple(ReadRecord(key, branch, 1) for key in reads),
        writes=frozenset({write}),
        replay_of=replay_of,
    )


def ledger(*runs: Run) -> Ledger:
    books = Ledger()
    for one in runs:
        books.record(one)
        books.finish(one.instance)
    return books


def impacted(
    books: Ledger,
    branch: str = "master",
    changed: Sequence[Key] = (Q,),
    hidden: Collection[tuple[Key, str]] = (),
    system: str = "s",
) -> list[tuple[Unit, bool]]:
    return books.impacted(system, branch, changed, lambda key, on: (key, on) in hidden)


def test_who_read_the_row_is_impacted() -> None:
    books = ledger(run("avg", [Q], A), run("rate", [A], R))
    assert impacted(books) == [(Unit("avg", "master"), False)]
    assert impacted(books, changed=[A]) == [(Unit("rate", "master"), False)]
    assert impacted(books, changed=[R]) == []
    assert impacted(books, system="other") == []


def test_who_has_not_finished_or_cannot_be_run_again_is_not() -> None:
    books = ledger(run("fix", [Q], Q, reprocessable=False))
    books.record(run("avg", [Q], A))
    assert impacted(books) == []


def test_a_replays_reads_take_the_place_of_its_units() -> None:
    books = ledger(run("avg", [Q], A), run("again", [R], A, replay_of=Unit("avg", "master")))
    assert impacted(books) == []
    assert impacted(books, changed=[R]) == [(Unit("avg", "master"), False)]


def test_a_branch_commit_impacts_copies_of_the_trunks_instances() -> None:
    assert impacted(ledger(run("avg", [Q], A)), branch="b") == [(Unit("avg", "b"), True)]


def test_a_copy_that_exists_stands_for_itself() -> None:
    books = ledger(run("avg", [Q], A), run("copy", [Q], A, "b", replay_of=Unit("avg", "b")))
    assert impacted(books, branch="b") == [(Unit("avg", "b"), True)]
    no_longer_reads = ledger(run("avg", [Q], A), run("copy", [R], A, "b", replay_of=Unit("avg", "b")))
    assert impacted(no_longer_reads, branch="b") == []


def test_an_instance_of_the_branch_makes_the_copy_needless() -> None:
    books = ledger(run("avg", [Q], A), run("own", [Q], A, "b"))
    assert impacted(books, branch="b") == [(Unit("own", "b"), False)]


def test_a_trunk_commit_impacts_branches_that_see_it() -> None:
    books = ledger(run("avg", [Q], A), run("own", [Q], A, "b"), run("copy", [Q], A, "c", replay_of=Unit("avg", "c")))
    assert impacted(books) == [(Unit("avg", "master"), False), (Unit("own", "b"), False), (Unit("avg", "c"), True)]
    assert impacted(books, hidden={(Q, "b"), (Q, "c")}) == [(Unit("avg", "master"), False)]


def test_a_commit_on_one_branch_does_not_touch_another() -> None:
    books = ledger(run("own", [Q], A, "b"))
    assert impacted(books, branch="c") == []


def test_an_overwritten_result_is_not_replayed() -> None:
    books = ledger(run("old", [Q], A), run("new", [Q], A))
    assert impacted(books) == [(Unit("new", "master"), False)]
