"""What the store makes of flag logs: totals that are exact, whatever the order, and exposures that stay apart."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from raingauge.contract import Received
from raingauge.contracts.flags import FLAGS
from raingauge.contracts.flags.decode import decode_write
from raingauge.contracts.flags.exposition import FIRST_DAY, LAST_DAY
from raingauge.contracts.flags.wire import flag_logs_pb2 as wire

Body = Callable[[str], bytes]
DAY_US = 86_400_000_000
START = int(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp() * 1_000_000)


class Total(msgspec.Struct, frozen=True):
    sum_us: int
    count: int
    buckets: dict[int, int]
    resolves: dict[int, int]
    memory_bytes: int


def send(stored: Any, body: bytes, message_id: int, label: str = "edge-1") -> dict[str, Any]:
    received = Received(message_id, "cust_0123456789abcdef", token_label=label, identity_key=b"k" * 32)
    result = stored.insert(decode_write(body, received), message_id=message_id)
    return {name: tuple(counts[:3]) for name, counts in result.tables.items()}


def total(stored: Any) -> Total:
    found: list[Total] = stored.rows(
        f"""SELECT sum(latency_sum_us) AS sum_us, sum(latency_count) AS count, sumMap(latency_buckets) AS buckets,
            sumMap(resolves) AS resolves, max(memory).2 AS memory_bytes
            FROM {stored.rolled("flag_totals")} WHERE customer = {{customer:String}}""",
        Total, since_day=FIRST_DAY, until_day=LAST_DAY,
    )  # fmt: skip
    return found[0]


EXPECTED = Total(8400 + 4_294_967_295, 7, {54: 2, 55: 1, 58: 1, 62: 1, 172: 1, 173: 1}, {1: 4, 2: 1, 6: 2}, 2_359_296)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_totals_do_not_depend_on_order_or_rollups(stored_facts: Any, protobuf: Body, order: Sequence[int]) -> None:
    """Before, between and after rollup runs the same messages give the same totals, beyond 32 bits."""
    stored = stored_facts(FLAGS)
    names = ["one_match", "local_sdk", "damaged"]
    for step, index in enumerate(order):
        send(stored, protobuf(names[index]), START + step * DAY_US)
        if step == 1:
            stored.store.rollups.run()
    assert EXPECTED == total(stored)
    stored.store.rollups.run()
    assert EXPECTED == total(stored)


def test_a_redelivered_message_counts_once_and_an_equal_one_counts_again(stored_facts: Any, protobuf: Body) -> None:
    """The queue's redelivery changes nothing; a heartbeat with the same bytes is another heartbeat."""
    stored = stored_facts(FLAGS)
    heartbeat = protobuf("heartbeat")
    send(stored, heartbeat, START)
    send(stored, heartbeat, START)
    send(stored, heartbeat, START + 15_000_000)

    class Flushes(msgspec.Struct):
        succeeded: int

    sql = f"""SELECT sum(flushes_succeeded) AS succeeded FROM {stored.rolled("flag_totals")}
        WHERE customer = {{customer:String}}"""
    assert [Flushes(2)] == stored.rows(sql, Flushes, since_day=FIRST_DAY, until_day=LAST_DAY)


def test_an_exposure_sent_twice_is_stored_once(stored_facts: Any, protobuf: Body) -> None:
    """A fallback that repeats a batch the primary had stored adds deltas, as it must, but no exposure."""
    stored = stored_facts(FLAGS)
    first = send(stored, protobuf("local_sdk"), START)["flag_exposures"]
    again = send(stored, protobuf("local_sdk"), START + 1, label="other")["flag_exposures"]
    assert [(1, 0), (0, 1)] == [counts[:2] for counts in (first, again)]


def test_exposures_with_the_same_resolve_id_stay_apart(stored_facts: Any) -> None:
    """Fresh resolvers repeat each other's resolve ids: another user, flag or nanosecond is another exposure."""
    stored = stored_facts(FLAGS)
    base: dict[str, Any] = {"flag": "flags/a", "targeting_key": "u1", "rule": "r", "assignment_id": "v"}
    time = {"seconds": 1_795_000_000, "nanos": 5}
    variants: list[dict[str, Any]] = [
        {}, {"flag": "flags/b"}, {"targeting_key": "u2"}, {"rule": "q"}, {"assignment_id": "w"}, {"apply_time": {**time, "nanos": 6}},
    ]  # fmt: skip
    flags = [wire.AppliedFlag(**{**base, "apply_time": time, **variant}) for variant in variants]
    body = wire.FlagLogs(flag_assigned=[
        wire.FlagAssigned(resolve_id="same", flags=[flag.SerializeToString()]).SerializeToString() for flag in flags
    ]).SerializeToString()  # fmt: skip
    assert (6, 0, 0) == send(stored, body, START)["flag_exposures"]


def test_resolve_counts_keep_every_assignment_and_do_not_wrap(stored_facts: Any) -> None:
    """Assignments missing from a later message keep their counts, and sums go beyond 64 bits."""
    stored = stored_facts(FLAGS)
    most = 2**63 - 1
    for step, assignments in enumerate(({"a": most, "b": 2}, {"b": 3}, {"a": most}, {"a": most})):
        info = wire.FlagResolveInfo(flag="f", rule_resolve_info=[wire.RuleResolveInfo(
            rule="r", count=sum(assignments.values()) % 2**63,
            assignment_resolve_info=[wire.AssignmentResolveInfo(assignment_id=k, count=n) for k, n in assignments.items()],
        )])  # fmt: skip
        send(stored, wire.FlagLogs(flag_resolve_info=[info.SerializeToString()]).SerializeToString(), START + step)
        if step == 1:
            stored.store.rollups.run()

    class Count(msgspec.Struct):
        name: str
        count: str

    sql = f"""SELECT name, toString(sum(count)) AS count FROM {stored.rolled("flag_count_totals")}
        WHERE customer = {{customer:String}} AND kind = 'assignment' GROUP BY name ORDER BY name"""
    expected = [Count("a", str(3 * most)), Count("b", "5")]
    assert expected == stored.rows(sql, Count, since_day=FIRST_DAY, until_day=LAST_DAY)


def test_the_newest_gauge_wins(stored_facts: Any) -> None:
    """Memory is the last one told, not the sum and not a later silence, on both sides of a rollup."""
    stored = stored_facts(FLAGS)
    for step, memory in enumerate((300, 200, 0)):
        body = wire.FlagLogs(telemetry_data=[wire.TelemetryData(memory_bytes=memory).SerializeToString()])
        send(stored, body.SerializeToString(), START + step * DAY_US)
    stored.store.rollups.run()
    assert 200 == total(stored).memory_bytes
