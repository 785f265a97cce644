from __future__ import annotations

import asyncio

import pytest

from raingauge.edge.lost import LostAnswers, Then

KEY = ("plain.library tok_1", b"digest of a body")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Exchange:
    """One request whose commit and whose client the test controls. `outcome` is what its sender would be told."""

    def __init__(self, lost: LostAnswers, key: tuple[str, bytes] = KEY) -> None:
        self.committed: Then | None = None
        self.has_left = False
        self.outcome: bool | Exception | None = None
        lost.commit(key, 10.0, self._start, lambda: self.has_left, self._then)

    def _start(self, committed: Then) -> None:
        self.committed = committed

    def _then(self, outcome: bool | Exception) -> None:
        self.outcome = outcome

    async def commit(self, result: bool | Exception = True) -> None:
        """The message reaches the disk, or not; then let everything run that can run."""
        assert self.committed
        self.committed(result)
        await asyncio.sleep(0)

    @property
    def is_recognised(self) -> bool:
        """Whether it was taken for a retry; one that is not is committed like any other."""
        return self.committed is None and self.outcome is False


@pytest.mark.parametrize("leaves_first", [True, False])
def test_retry_is_recognised_whenever_it_comes(leaves_first: bool) -> None:
    """It makes no difference whether the retry is read before or after the news that the first client left."""

    async def scenario() -> bool:
        lost = LostAnswers()
        first = Exchange(lost)
        first.has_left = leaves_first
        retry = Exchange(lost)
        assert (retry.committed, retry.outcome) == (None, None)
        first.has_left = True
        await first.commit()
        assert first.outcome is True
        return retry.is_recognised

    assert asyncio.run(scenario())


def test_same_body_of_two_live_clients_is_two_messages() -> None:
    """Equal bodies alone prove nothing: loops may look alike."""

    async def scenario() -> list[bool]:
        lost = LostAnswers()
        first = Exchange(lost)
        second = Exchange(lost)
        await first.commit()
        await second.commit()
        third = Exchange(lost)
        return [second.is_recognised, third.is_recognised]

    assert asyncio.run(scenario()) == [False, False]


def test_lost_message_that_did_not_reach_the_disk_is_taken_again() -> None:
    """A failed commit leaves nothing to recognise."""

    async def scenario() -> list[bool]:
        lost = LostAnswers()
        first = Exchange(lost)
        first.has_left = True
        retry = Exchange(lost)
        failure = OSError("disk")
        await first.commit(failure)
        assert first.outcome is failure
        await retry.commit(OSError("disk"))
        return [retry.is_recognised, Exchange(lost).is_recognised]

    assert asyncio.run(scenario()) == [False, False]


@pytest.mark.parametrize(
    ("key", "later_seconds", "recognised"),
    [
        (KEY, 9.0, True),
        (KEY, 11.0, False),
        (("plain.library tok_2", KEY[1]), 0.0, False),
        ((KEY[0], b"digest of another"), 0.0, False),
    ],
    ids=["in time", "too late", "other sender", "other body"],
)
def test_only_the_same_body_of_the_same_sender_in_time_counts(
    key: tuple[str, bytes], later_seconds: float, recognised: bool
) -> None:
    """Nobody else's message and no later one is mistaken for a retry."""

    async def scenario() -> bool:
        clock = Clock()
        lost = LostAnswers(clock)
        first = Exchange(lost)
        first.has_left = True
        await first.commit()
        clock.now += later_seconds
        return Exchange(lost, key).is_recognised

    assert recognised is asyncio.run(scenario())


def test_one_lost_answer_excuses_one_retry() -> None:
    """The equal body after the retry is another message."""

    async def scenario() -> list[bool]:
        lost = LostAnswers()
        first = Exchange(lost)
        first.has_left = True
        await first.commit()
        return [Exchange(lost).is_recognised, Exchange(lost).is_recognised]

    assert asyncio.run(scenario()) == [True, False]


def test_nothing_stays_in_memory_but_what_may_be_retried() -> None:
    """Answered messages are forgotten at once, unheard ones with their time."""

    async def scenario() -> list[int]:
        clock = Clock()
        lost = LostAnswers(clock)
        sizes = []
        for number in range(20):
            exchange = Exchange(lost, ("sender", bytes([number])))
            exchange.has_left = bool(number % 2)
            await exchange.commit()
            clock.now += 3
            sizes.append(len(lost._unheard))
        return sizes

    assert max(asyncio.run(scenario())) <= 3
