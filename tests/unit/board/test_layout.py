from hypothesis import given
from hypothesis import strategies as st

from maestro.board.layout import IDENTITY, IDENTITY_END, WORDS, State, find, identity, state_word

SLOTS = 7
IDS = st.text("abcXYZ019_-", min_size=1, max_size=128)


@given(st.sets(IDS, max_size=12))
def test_each_system_finds_its_own_slot_or_learns_that_all_are_taken(systems: set[str]) -> None:
    words = memoryview(bytearray((SLOTS + 1) * WORDS * 8)).cast("Q")
    taken: dict[str, int] = {}
    for system in systems:
        slot, free = find(words, SLOTS, identity(system))
        assert slot is None
        if free is None:
            assert len(taken) == SLOTS
            continue
        assert 1 <= free <= SLOTS
        at = free * WORDS
        words[at + IDENTITY], words[at + IDENTITY_END] = identity(system)
        taken[system] = free
    assert len(set(taken.values())) == len(taken) == min(len(systems), SLOTS)
    for system in systems:
        assert find(words, SLOTS, identity(system))[0] == taken.get(system)


def test_a_slot_whose_taker_died_halfway_is_free() -> None:
    words = memoryview(bytearray((SLOTS + 1) * WORDS * 8)).cast("Q")
    _, free = find(words, SLOTS, identity("a"))
    assert free is not None
    words[free * WORDS + IDENTITY] = identity("a")[0]
    assert find(words, SLOTS, identity("a")) == (None, free)


@given(st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1), st.sampled_from(State), st.sampled_from(State))
def test_a_state_word_says_one_epoch_and_one_state(a: int, b: int, one: State, other: State) -> None:
    assert 0 < state_word(a, one) < 2**64
    assert (state_word(a, one) == state_word(b, other)) == (a == b and one == other)
