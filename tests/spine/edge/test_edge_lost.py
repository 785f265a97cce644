from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raingauge.edge.lost import LostAnswers

KEY = ("plain.library tok_1", b"digest of a body")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Exchange:
    """One request whose commit and whose client the test controls."""

    def __init__(self) -> None:
        self.committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()

    async def commit(self) -> bool:
        return await self.committed

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def settle() -> None:
    """Let everything run that can run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def begin(lost: LostAnswers, key: tuple[str, bytes] = KEY) -> tuple[Exchange, asyncio.Task[bool]]:
    exchange = Exchange()
    task = asyncio.create_task(lost.watched(exchange.commit(), exchange.receive, key, 10.0))
    await settle()
    return exchange, task


@pytest.mark.parametrize("leaves_first", [True, False])
def test_retry_is_recognised_whenever_it_comes(leaves_first: bool) -> None:
    """It makes no difference whether the retry is read before or after the news that the first client left."""

    async def scenario() -> bool:
        lost = LostAnswers()
        first, task = await begin(lost)
        if leaves_first:
            first.left.set()
            await settle()
        retry = asyncio.create_task(lost.unheard(KEY))
        await settle()
        assert not retry.done()
        first.left.set()
        await settle()
        first.committed.set_result(True)
        assert await task
        return await retry

    assert asyncio.run(scenario())


def test_same_body_of_two_live_clients_is_two_messages() -> None:
    """Equal bodies alone prove nothing: loops may look alike."""

    async def scenario() -> bool:
        lost = LostAnswers()
        first, task = await begin(lost)
        second = asyncio.create_task(lost.unheard(KEY))
        await settle()
        first.committed.set_result(True)
        await task
        assert not await lost.unheard(KEY)
        return await second

    assert not asyncio.run(scenario())


def test_lost_message_that_did_not_reach_the_disk_is_taken_again() -> None:
    """A failed commit leaves nothing to recognise."""

    async def scenario() -> bool:
        lost = LostAnswers()
        first, task = await begin(lost)
        first.left.set()
        retry = asyncio.create_task(lost.unheard(KEY))
        await settle()
        first.committed.set_exception(OSError("disk"))
        with pytest.raises(OSError, match="disk"):
            await task
        return await retry or await lost.unheard(KEY)

    assert not asyncio.run(scenario())


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
        first, task = await begin(lost)
        first.left.set()
        await settle()
        first.committed.set_result(True)
        await task
        clock.now += later_seconds
        return await lost.unheard(key)

    assert recognised is asyncio.run(scenario())


def test_nothing_stays_in_memory_but_what_may_be_retried() -> None:
    """Answered messages are forgotten at once, unheard ones with their time."""

    async def scenario() -> list[int]:
        clock = Clock()
        lost = LostAnswers(clock)
        sizes = []
        for number in range(20):
            exchange, task = await begin(lost, ("sender", bytes([number])))
            if number % 2:
                exchange.left.set()
                await settle()
            exchange.committed.set_result(True)
            await task
            clock.now += 3
            sizes.append(len(lost._unheard))
        return sizes

    assert max(asyncio.run(scenario())) <= 3
