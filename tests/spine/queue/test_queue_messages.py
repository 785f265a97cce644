"""What goes in comes out: order, leases, acknowledging, limits, accounting, idempotency, restarts."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from raingauge.contract import Outcome, Reason
from raingauge.errors import Refused
from raingauge.queue import Appended, Depth, Leased, Message, Tally
from raingauge.queue.sqlite import SqliteQueue

if TYPE_CHECKING:
    from tests.spine.queue.conftest import Append, Bench, Busy


MIB = 1024 * 1024
STORED = Tally("otlp", Outcome.STORED)


def ids(leased: list[Leased]) -> list[int]:
    return [one.message_id for one in leased]


def test_a_message_comes_out_as_it_went_in(queue: SqliteQueue) -> None:
    """Body and every column survive, compressed or not, empty or not."""
    sent = [
        Message("otlp.traces", "cust_1", b"\x00plain" * 1000, "application/json", "", "laptop", "key-1"),
        Message("otlp.logs", "cust_2", b"\x1f\x8bnot looked at", "application/x-protobuf", "gzip", "", ""),
        Message("flags.write", "cust_3", b"", "", "", "ä", "ключ"),
    ]
    answers: list[Future[Any]] = [Future() for _ in sent]
    for message, answer in zip(sent, answers, strict=True):
        queue.append(message, answer.set_result)
    taken = queue.lease(10, MIB) if all(answer.result(20).new for answer in answers) else []
    assert sent == [one.message for one in taken]
    assert [answer.result().message_id for answer in answers] == ids(taken)


def test_messages_come_oldest_first_and_only_once(queue: SqliteQueue, append: Append) -> None:
    """Two leases share the messages in the order of their arrival."""
    sent = [append(queue).message_id for _ in range(5)]
    assert sent == ids(queue.lease(2, MIB)) + ids(queue.lease(10, MIB))
    assert queue.lease(10, MIB) == []


def test_the_id_is_the_time_of_arrival(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """An id is microseconds since 1970 and can be held by a JSON reader."""
    assert 1_800_000_000_000_000 == append(queue).message_id < 2**53


def test_ids_ascend_when_the_clock_stands_or_jumps_back(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """A wrong clock never makes two messages the same."""
    first, second = append(queue).message_id, append(queue).message_id
    bench.clock.now -= 86_400
    assert [first + 1, first + 2] == [second, append(queue).message_id]


def test_ids_ascend_over_a_restart_of_an_empty_queue(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """The last id outlives the message that had it, even when the clock is behind after the restart."""
    last = append(queue).message_id
    queue.lease(1, MIB)
    queue.acknowledge([last], {}).result(20)
    queue.close()
    bench.clock.now -= 3600
    assert last < append(bench.open()).message_id


def test_a_lease_holds_no_more_than_asked(queue: SqliteQueue, append: Append) -> None:
    """The byte limit ends a batch, but one message always gets through."""
    large, *small = [append(queue, bytes(size)).message_id for size in (5000, 400, 400, 400)]
    assert [large] == ids(queue.lease(10, 1000))
    assert small[:2] == ids(queue.lease(10, 1000))
    assert small[2:] == ids(queue.lease(10, 1000))


def test_acknowledged_messages_are_gone_and_counted(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """Acknowledging removes the messages and adds the counts, also after a restart."""
    sent = [append(queue).message_id for _ in range(3)]
    queue.lease(2, MIB)
    queue.acknowledge(sent[:2], {STORED: 7, Tally("otlp", Outcome.RECEIVED): 7}).result(20)
    queue.acknowledge([], {STORED: 1}).result(20)
    assert (True, False) == (queue.drained(sent[1]), queue.drained(sent[2]))
    queue.close()
    again = bench.open()
    assert sent[2:] == ids(again.lease(10, MIB))
    assert {STORED: 8, Tally("otlp", Outcome.RECEIVED): 7} == again.accounting()


@pytest.mark.parametrize("wrong", ["unknown", "twice"])
def test_acknowledging_what_is_not_leased_changes_nothing(queue: SqliteQueue, append: Append, wrong: str) -> None:
    """A mistake of the caller is told and counts nothing, so the accounting stays true."""
    sent = append(queue).message_id
    queue.lease(1, MIB)
    chosen = [sent, sent] if wrong == "twice" else [sent, sent + 1]
    with pytest.raises(ValueError, match=r"acknowledged twice|not leased"):
        queue.acknowledge(chosen, {STORED: 1}).result(20)
    assert ({}, 1) == (queue.accounting(), queue.depth().messages)
    queue.acknowledge([sent], {STORED: 1}).result(20)
    assert {STORED: 1} == queue.accounting()


def test_one_bad_append_does_not_take_its_neighbours_along(queue: SqliteQueue, busy: Busy) -> None:
    """Messages that share a commit with one that cannot be written are written all the same."""
    answers: dict[str, Future[Any]] = {customer: Future() for customer in ("good", "\ud800", "better")}
    with busy(queue):
        for customer, answer in answers.items():
            queue.append(Message("otlp.traces", customer, b""), answer.set_result)
    assert isinstance(answers["\ud800"].result(20), UnicodeEncodeError)
    assert answers["good"].result(20).new
    assert answers["better"].result(20).new
    assert ["first", "good", "better"] == [one.message.customer for one in queue.lease(10, MIB)]


def test_messages_that_arrive_together_share_one_commit(queue: SqliteQueue, bench: Bench, busy: Busy) -> None:
    """While one commit is under way the next group gathers, and its size is observable."""
    answers: list[Future[Any]] = [Future() for _ in range(50)]
    with busy(queue):
        for answer in answers:
            queue.append(Message("otlp.traces", "next", b""), answer.set_result)
    for answer in answers:
        answer.result(20)
    queue.close()
    assert [1, 50] == [value for name, value in bench.observed if name == "commit_messages"]


def test_a_failing_callback_does_not_stop_the_queue(queue: SqliteQueue, append: Append) -> None:
    """The writer outlives a caller's mistake."""

    def done(_result: object) -> None:
        raise RuntimeError

    queue.append(Message("otlp.traces", "cust_1", b""), done)
    assert append(queue).new


def test_depth_tells_what_waits(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """Leased messages wait too; dead letters are counted apart."""
    assert Depth(0, 0, None, 0, {}) == queue.depth()
    first = append(queue)
    bench.clock.advance(10)
    append(queue, intake="flags.write")
    queue.lease(1, MIB)
    depth = queue.depth()
    arrived = datetime.fromtimestamp(bench.clock.now - 10, UTC)
    assert (2, arrived, 0, {"otlp": 1, "flags": 1}) == (
        depth.messages, depth.oldest_at, depth.dead_letters, depth.by_contract,
    )  # fmt: skip
    queue.acknowledge([first.message_id], {}).result(20)
    later = queue.depth()
    assert (1, datetime.fromtimestamp(bench.clock.now, UTC)) == (later.messages, later.oldest_at)
    assert 0 < later.size_bytes < depth.size_bytes
    queue.close()
    assert later == bench.open().depth()


def test_a_queue_full_of_bytes_refuses_until_it_drains(bench: Bench, append: Append) -> None:
    """At the byte limit the sender is told to come back, and after draining all is well."""
    queue = bench.open(queue_max_bytes=20_000)
    body = b"\x1f" * 15_000
    sent = [append(queue, body, content_encoding="gzip").message_id for _ in range(2)]
    assert queue.full()
    with pytest.raises(Refused) as refusal:
        append(queue)
    assert (Reason.QUEUE_FULL, 503, 5) == (
        refusal.value.reason, refusal.value.status, refusal.value.retry_after_seconds,
    )  # fmt: skip
    queue.lease(1, MIB)
    queue.acknowledge(sent[:1], {}).result(20)
    assert not queue.full()
    assert append(queue).new


def test_bodies_on_their_way_to_the_disk_count_too(bench: Bench, busy: Busy) -> None:
    """A burst cannot pass the limit merely because nothing of it is committed yet."""
    queue = bench.open(queue_max_bytes=20_000)
    answers: list[Future[Any]] = [Future() for _ in range(3)]
    with busy(queue):
        for answer in answers:
            queue.append(Message("otlp.traces", "next", b"\x1f" * 15_000, content_encoding="gzip"), answer.set_result)
    assert [Appended, Appended, Refused] == [type(answer.result(20)) for answer in answers]


def test_what_waits_in_memory_for_the_writer_is_bounded(queue: SqliteQueue, busy: Busy) -> None:
    """A disk slower than the senders makes them come back later, long before the limit of the queue."""
    answers: list[Future[Any]] = [Future() for _ in range(3)]
    with busy(queue):
        for answer in answers:
            queue.append(Message("otlp.traces", "next", bytes(40 * MIB)), answer.set_result)
        assert queue.full()
    assert [Appended, Appended, Refused] == [type(answer.result(20)) for answer in answers]


def test_a_queue_that_does_not_move_refuses(bench: Bench, append: Append) -> None:
    """When the oldest message is too old nothing more is taken, until it is stored."""
    queue = bench.open(queue_max_age_seconds=60.0)
    sent = append(queue).message_id
    bench.clock.advance(61)
    assert queue.full()
    with pytest.raises(Refused):
        append(queue)
    queue.lease(1, MIB)
    queue.acknowledge([sent], {}).result(20)
    assert not queue.full()


def test_the_same_idempotency_key_is_queued_once(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """A repeat is acknowledged with the first id and counted as a duplicate, also after a restart."""
    first = append(queue, idempotency_key="k")
    assert Appended(first.message_id, new=False) == append(queue, idempotency_key="k")
    queue.close()
    queue = bench.open()
    assert Appended(first.message_id, new=False) == append(queue, idempotency_key="k")
    assert [first.message_id] == ids(queue.lease(10, MIB))
    assert {Tally("otlp", Outcome.RECEIVED): 2, Tally("otlp", Outcome.DUPLICATE): 2} == queue.accounting()


def test_idempotency_keys_of_others_are_no_duplicates(queue: SqliteQueue, append: Append) -> None:
    """Another customer, another intake or another key is another message."""
    append(queue, idempotency_key="k")
    assert append(queue, idempotency_key="k", customer="cust_2").new
    assert append(queue, idempotency_key="k", intake="otlp.logs").new
    assert append(queue, idempotency_key="K").new


@pytest.mark.parametrize("housekept", [True, False])
def test_idempotency_keys_are_forgotten_after_a_day(bench: Bench, append: Append, housekept: bool) -> None:
    """A key counts for 24 hours, whether or not anybody has tidied up since."""
    queue = bench.open(queue_max_age_seconds=1e6)
    append(queue, idempotency_key="k")
    bench.clock.advance(86_399)
    assert not append(queue, idempotency_key="k").new
    bench.clock.advance(2)
    if housekept:
        queue.housekeep()
    assert append(queue, idempotency_key="k").new


def test_wait_wakes_up_for_a_message(queue: SqliteQueue, append: Append) -> None:
    """A pipeline that waits is woken by the commit, not by its timeout."""
    assert not queue.wait(0.01)
    woken: Future[bool] = Future()
    waiter = threading.Thread(target=lambda: woken.set_result(queue.wait(20)))
    waiter.start()
    append(queue)
    assert woken.result(20)
    waiter.join()
    queue.lease(1, MIB)
    assert not queue.wait(0.01)


def test_closing_writes_what_was_handed_over_and_then_refuses(bench: Bench) -> None:
    """Nothing that was taken is dropped by a stop, and nothing is taken after it."""
    queue = bench.open()
    answers: list[Future[Any]] = [Future() for _ in range(20)]
    for answer in answers:
        queue.append(Message("otlp.traces", "cust_1", b"x"), answer.set_result)
    queue.close()
    assert all(answer.result(0).new for answer in answers)
    late: Future[Any] = Future()
    queue.append(Message("otlp.traces", "cust_1", b"x"), late.set_result)
    assert late.result(0).reason == Reason.SHUTTING_DOWN
    with pytest.raises(Refused):
        queue.acknowledge([], {}).result(0)
    assert [answer.result().message_id for answer in answers] == ids(bench.open().lease(99, MIB))


def test_appending_from_many_threads_loses_and_mixes_up_nothing(queue: SqliteQueue, append: Append) -> None:
    """Every thread's messages are there once, under the id it was told."""
    told: dict[int, bytes] = {}

    def send(thread: int) -> None:
        for number in range(20):
            body = b"%d-%d" % (thread, number)
            told[append(queue, body).message_id] = body

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 160 == len(told)
    assert told == {one.message_id: one.message.body for one in queue.lease(999, MIB)}
