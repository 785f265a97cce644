"""Failed tries, back-off, dead letters and what a person can do with them."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from raingauge.contract import Outcome, Reason
from raingauge.queue import DeadLetter, Failure, Tally
from raingauge.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from tests.spine.queue.conftest import Append, Bench


MIB = 1024 * 1024
RECEIVED = Tally("otlp", Outcome.RECEIVED)
QUARANTINED = Tally("otlp", Outcome.QUARANTINED, "undecodable")


def now(bench: Bench) -> datetime:
    return datetime.fromtimestamp(bench.clock.now, UTC)


def killed_off(queue: SqliteQueue, bench: Bench, message_id: int, reason: Reason = Reason.UNDECODABLE) -> list[Failure]:
    """Fail a message until it is a dead letter; what was noted."""
    noted = []
    dead = False
    while not dead:
        assert [message_id] == [one.message_id for one in queue.lease(1, MIB)]
        noted.append(Failure(now(bench), reason, "span 3"))
        dead = queue.retry(message_id, reason, "span 3").result(20)
        bench.clock.advance(10)
    return noted


def test_a_failed_message_comes_back_after_one_and_then_five_seconds(
    queue: SqliteQueue, bench: Bench, append: Append
) -> None:
    """The waits between tries grow, and each lease tells how many failed before."""
    sent = append(queue).message_id
    for tries, wait_seconds in enumerate((1, 5)):
        assert [tries] == [one.tries for one in queue.lease(1, MIB)]
        assert not queue.retry(sent, Reason.UNDECODABLE, "").result(20)
        bench.clock.advance(wait_seconds - 0.01)
        assert (False, []) == (queue.wait(0.01), queue.lease(1, MIB))
        bench.clock.advance(0.01)
        assert queue.wait(0.01)
    assert [2] == [one.tries for one in queue.lease(1, MIB)]


def test_messages_behind_a_failing_one_are_not_held_up(queue: SqliteQueue, append: Append) -> None:
    """While one backs off the others go on."""
    sent = [append(queue).message_id for _ in range(3)]
    queue.lease(1, MIB)
    queue.retry(sent[0], Reason.UNDECODABLE, "").result(20)
    assert sent[1:] == [one.message_id for one in queue.lease(9, MIB)]


def test_back_off_does_not_follow_the_wall_clock(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """A clock that is set back an hour does not make a message wait for an hour."""
    sent = append(queue).message_id
    queue.lease(1, MIB)
    queue.retry(sent, Reason.UNDECODABLE, "").result(20)
    bench.clock.advance(1)
    bench.clock.now -= 3600
    assert [sent] == [one.message_id for one in queue.lease(1, MIB)]


def test_tries_outlive_the_process(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """A restart does not give a bad message fresh tries."""
    sent = append(queue).message_id
    queue.lease(1, MIB)
    queue.retry(sent, Reason.DECODER_TIMEOUT, "").result(20)
    queue.close()
    assert [1] == [one.tries for one in bench.open().lease(1, MIB)]


def test_after_the_last_try_a_message_is_a_dead_letter(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """It no longer waits, is counted as received and quarantined, and tells its whole history."""
    arrived = now(bench)
    sent = append(queue, b"12345").message_id
    noted = killed_off(queue, bench, sent)
    died = noted[-1].at
    assert 3 == len(noted)
    expected = DeadLetter(sent, "otlp.traces", "cust_1", 5, arrived, died + timedelta(days=7), tuple(noted))
    assert [expected] == queue.dead_letters()
    assert {RECEIVED: 1, QUARANTINED: 1} == queue.accounting()
    assert (0, 0, None, 1) == (
        queue.depth().messages, queue.depth().size_bytes, queue.depth().oldest_at, queue.depth().dead_letters,
    )  # fmt: skip
    assert queue.drained(sent)
    queue.close()
    again = bench.open()
    assert [expected] == again.dead_letters()
    assert 1 == again.depth().dead_letters


def test_retrying_what_is_not_leased_changes_nothing(queue: SqliteQueue, append: Append) -> None:
    """A mistake of the caller is told and costs the message no try."""
    sent = append(queue).message_id
    with pytest.raises(ValueError, match="not leased"):
        queue.retry(sent, Reason.UNDECODABLE, "").result(20)
    assert [0] == [one.tries for one in queue.lease(1, MIB)]


def test_the_newest_dead_letter_is_listed_first(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """The list can be cut short without hiding what just happened."""
    first, second = append(queue).message_id, append(queue).message_id
    killed_off(queue, bench, first, Reason.DECODER_CRASHED)
    killed_off(queue, bench, second, Reason.STORE_REFUSED)
    assert [second, first] == [letter.message_id for letter in queue.dead_letters()]
    assert [second] == [letter.message_id for letter in queue.dead_letters(limit=1)]


@pytest.mark.parametrize(
    ("body", "encoding", "shown"),
    [
        (b"plain", "", b"plain"),
        (gzip.compress(b"packed", mtime=0), "gzip", b"packed"),
        (b"not gzip at all", "gzip", b"not gzip at all"),
    ],
)
def test_the_body_of_a_dead_letter_can_be_looked_at(
    queue: SqliteQueue, bench: Bench, append: Append, body: bytes, encoding: str, shown: bytes
) -> None:
    """It is shown without its content encoding, or as it came when that cannot be undone."""
    sent = append(queue, body, content_encoding=encoding).message_id
    assert queue.dead_letter_body(sent) is None
    killed_off(queue, bench, sent)
    assert shown == queue.dead_letter_body(sent)
    assert queue.dead_letter_body(sent + 1) is None


def test_a_dead_letter_taken_back_has_fresh_tries_and_no_count(
    queue: SqliteQueue, bench: Bench, append: Append
) -> None:
    """After a repair it goes through like any message, and the accounting forgets that it was dead."""
    sent = append(queue, b"again").message_id
    killed_off(queue, bench, sent)
    assert 0 == queue.retry_dead_letters([sent + 1])
    assert 1 == queue.retry_dead_letters([sent, sent])
    assert ({}, []) == (queue.accounting(), queue.dead_letters())
    assert (1, 0) == (queue.depth().messages, queue.depth().dead_letters)
    assert not queue.drained(sent)
    [leased] = queue.lease(9, MIB)
    assert (sent, b"again", 0) == (leased.message_id, leased.message.body, leased.tries)
    queue.acknowledge([sent], {RECEIVED: 1}).result(20)
    assert ({RECEIVED: 1}, 0) == (queue.accounting(), queue.depth().messages)


@pytest.mark.parametrize("restarted", [False, True])
def test_old_dead_letters_taken_back_do_not_make_the_queue_refuse(
    queue: SqliteQueue, bench: Bench, append: Append, restarted: bool
) -> None:
    """Their age is counted from when they were taken back, not from when they came."""
    sent = append(queue).message_id
    killed_off(queue, bench, sent)
    bench.clock.advance(86_400)
    queue.retry_dead_letters(None)
    if restarted:
        queue.close()
        queue = bench.open()
    assert not queue.full()
    assert append(queue).new
    assert 2 == len(queue.lease(9, MIB))


def test_a_second_death_keeps_the_first_history(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """Nothing that was noted about a message is forgotten when it is taken back."""
    sent = append(queue).message_id
    noted = killed_off(queue, bench, sent)
    queue.retry_dead_letters(None)
    noted += killed_off(queue, bench, sent, Reason.STORE_REFUSED)
    assert [tuple(noted)] == [letter.failures for letter in queue.dead_letters()]
    assert {RECEIVED: 1, Tally("otlp", Outcome.QUARANTINED, "store_refused"): 1} == queue.accounting()


def test_purged_dead_letters_stay_counted(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """Deleting for good removes the content, not the fact that it came."""
    sent = [append(queue).message_id for _ in range(3)]
    for one in sent:
        killed_off(queue, bench, one)
    assert 1 == queue.purge_dead_letters([sent[0], 5])
    assert 2 == queue.purge_dead_letters(None)
    assert 0 == queue.purge_dead_letters(None)
    assert ([], 0) == (queue.dead_letters(), queue.depth().dead_letters)
    assert {RECEIVED: 3, QUARANTINED: 3} == queue.accounting()


def test_dead_letters_expire(bench: Bench, append: Append) -> None:
    """After the days set they are gone at the next housekeeping, still counted."""
    queue = bench.open(dead_letter_days=2.0)
    killed_off(queue, bench, append(queue).message_id)
    [letter] = queue.dead_letters()
    bench.clock.advance((letter.expires_at - now(bench)).total_seconds() - 1)
    queue.housekeep()
    assert 1 == len(queue.dead_letters())
    bench.clock.advance(1)
    queue.housekeep()
    assert ([], 0) == (queue.dead_letters(), queue.depth().dead_letters)
    assert {RECEIVED: 1, QUARANTINED: 1} == queue.accounting()
