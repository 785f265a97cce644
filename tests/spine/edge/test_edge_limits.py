from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raingauge.edge.limits import DailyCounts, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@given(per_minute=st.integers(1, 200), pauses=st.lists(st.floats(0, 40), max_size=300))
def test_never_more_than_burst_plus_refill_pass(per_minute: int, pauses: list[float]) -> None:
    """However requests are spread, no more pass than one burst and what was refilled since."""
    clock = Clock()
    rate = Rate(per_minute, clock=clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += not rate.take("key")
    assert passed <= per_minute + (clock.now - 1_000_000.0) * per_minute / 60 + 1


@given(per_minute=st.integers(1, 500))
def test_whole_burst_passes_and_the_stated_wait_is_enough(per_minute: int) -> None:
    """One minute's worth passes at once; who waits as told passes again."""
    clock = Clock()
    rate = Rate(per_minute, clock=clock)
    assert [0] * per_minute == [rate.take("key") for _ in range(per_minute)]
    wait_seconds = rate.take("key")
    assert wait_seconds >= 1
    clock.now += wait_seconds
    assert 0 == rate.take("key")


def test_no_limit_and_separate_keys() -> None:
    """Zero means no limit, and one key's use is not another's."""
    assert {0} == {Rate(0).take("key") for _ in range(1000)}
    rate = Rate(1, clock=Clock())
    assert [0, 0] == [rate.take("a"), rate.take("b")]
    assert rate.take("a") > 0


def test_memory_is_bounded_by_forgetting_the_longest_unused() -> None:
    """A flood of addresses cannot grow the table; the busy ones stay in it."""
    clock = Clock()
    rate = Rate(1, max_keys=10, clock=clock)
    rate.take("first")
    for number in range(10):
        rate.take(number)
    assert 10 == len(rate._whole_at)
    assert rate.take(9) > 0
    assert 0 == rate.take("first")


@given(st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=80), st.integers(1, 20))
def test_no_24_hours_hold_more_than_the_cap(steps: list[tuple[int, bool]], cap: int) -> None:
    """Any sequence of messages, refused ones given back, stays within the cap of every 24 hours."""
    clock = Clock()
    counts = DailyCounts(clock=clock)
    accepted: list[float] = []
    for pause, kept in steps:
        clock.now += pause
        if counts.reserve("key", cap):
            if kept:
                accepted.append(clock.now)
            else:
                counts.release("key")
        recent = [at for at in accepted if at > clock.now - 86_400 + 60]
        assert len(recent) <= cap


def test_cap_frees_up_after_24_hours() -> None:
    """What was sent a day ago counts no more."""
    clock = Clock()
    counts = DailyCounts(clock=clock)
    assert [True, True, False] == [counts.reserve("key", 2) for _ in range(3)]
    clock.now += 86_400
    assert [True, True, False] == [counts.reserve("key", 2) for _ in range(3)]
