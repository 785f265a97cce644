"""What the writer stores, counts and notes."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contract import Column, Contract, Decoded, Reject, Table, Undecodable
from raingauge.errors import Reason
from raingauge.store import schema
from raingauge.store.arrow import build
from raingauge.store.writer import InsertBatch, TableCounts

if TYPE_CHECKING:
    from tests.conftest import OpenStore, StoredFacts, StoreFacts

CUSTOMER = "cust_0123456789abcdef"
OTHER = "cust_fedcba9876543210"
NOON_MS = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
MESSAGE_ID = NOON_MS * 1000

SPANS = Table(
    "spans",
    (
        Column("start", "DateTime64(3, 'UTC')", "when it began"),
        Column("trace_id", "String", "groups spans"),
        Column("span_id", "String", "identity"),
        Column("name", "LowCardinality(String)", "what it is"),
        Column("duration_ms", "UInt32", "how long"),
    ),
    time="start",
    identity=("trace_id", "span_id"),
    fingerprint="duration_ms",
    duplicate_label="name",
)
CLICKS = Table(
    "clicks",
    (Column("at", "DateTime64(3, 'UTC')", "when"), Column("event_id", "UUID", "identity")),
    time="at",
    identity=("event_id",),
    identity_days=False,
)
LINES = Table("lines", (Column("value", "Int64", "a number"),))
RAW = Table(
    "raw",
    (
        Column("id", "FixedString(16)", "identity"),
        Column("at", "DateTime64(3, 'UTC')", "identity"),
        Column("series", "UInt64", "identity"),
    ),
    identity=("id", "at", "series"),
    order=("series",),
)
CONTRACT = Contract("probe", "Probe", (), (SPANS, CLICKS, LINES, RAW))

Part: TypeAlias = tuple[str, int, Sequence[tuple[Any, ...]]]
"""Customer, message id, rows."""


class Count(msgspec.Struct):
    n: int


class Note(msgspec.Struct):
    source: str
    label: str
    conflict: bool


class Refusal(msgspec.Struct):
    contract: str
    reason: str
    field: str
    quarantined: bool


def span(position: int, span_id: str = "a", *, trace: str = "t", start: Any = NOON_MS, ms: int = 5) -> tuple[Any, ...]:
    return (position, start, trace, span_id, "call", ms)


def rows_of(table: Table, *parts: Part) -> pa.Table:
    return pa.Table.from_batches([build(table, customer, message_id, rows) for customer, message_id, rows in parts])


def count(facts: StoredFacts, table: str, customer: str = CUSTOMER) -> int:
    (row,) = facts.rows(
        f"SELECT count() AS n FROM {table} WHERE customer = {{customer:String}}", Count, customer=customer
    )
    return row.n


@pytest.fixture
def facts(stored_facts: StoreFacts) -> StoredFacts:
    return stored_facts(CONTRACT)


def insert(facts: StoredFacts, table: Table, *parts: Part, redelivered: Sequence[int] = ()) -> TableCounts:
    batch = InsertBatch({table.name: rows_of(table, *parts)}, frozenset(redelivered))
    return facts.store.writer.insert(batch).tables[table.name]


def test_same_identity_in_a_later_message_is_a_duplicate(facts: StoredFacts) -> None:
    """A retried span is counted as duplicate and not stored again."""
    insert(facts, SPANS, (CUSTOMER, MESSAGE_ID, [span(0)]))
    assert TableCounts(0, 1, 0) == insert(facts, SPANS, (CUSTOMER, MESSAGE_ID + 1, [span(0)]))
    assert 1 == count(facts, "spans")


def test_first_of_equal_items_in_one_batch_is_kept(facts: StoredFacts) -> None:
    """Of two equal spans that arrive together the first one is stored and the second is noted as a conflict."""
    parts = [(CUSTOMER, MESSAGE_ID, [span(0, ms=1)]), (CUSTOMER, MESSAGE_ID + 1, [span(0, ms=2)])]
    assert TableCounts(1, 0, 1) == insert(facts, SPANS, *parts)
    read = "SELECT toUInt64(duration_ms) AS n FROM spans WHERE customer = {customer:String}"
    assert [Count(1)] == facts.rows(read, Count)
    notes = "SELECT source, label, conflict FROM duplicates WHERE customer = {customer:String}"
    assert [Note("spans", "call", True)] == facts.rows(notes, Note)


def test_duplicate_that_differs_from_the_stored_row_is_a_conflict(facts: StoredFacts) -> None:
    """An item with a known identity and another fingerprint is counted apart from true copies."""
    insert(facts, SPANS, (CUSTOMER, MESSAGE_ID, [span(0, "a"), span(1, "b")]))
    later = [span(0, "a", ms=6), span(1, "b")]
    assert TableCounts(0, 1, 1) == insert(facts, SPANS, (CUSTOMER, MESSAGE_ID + 1, later))


def test_redelivered_message_counts_as_stored_and_adds_nothing(facts: StoredFacts) -> None:
    """A message that was inserted before a crash gives the same counts and no second note when it comes again."""
    message = (CUSTOMER, MESSAGE_ID, [span(0, "a"), span(1, "b"), span(2, "a")])
    for _ in range(2):
        assert TableCounts(2, 1, 0) == insert(facts, SPANS, message, redelivered=[MESSAGE_ID])
    assert 2 == count(facts, "spans")
    assert 1 == count(facts, "duplicates")


def test_rows_without_identity_are_recognised_when_redelivered(facts: StoredFacts) -> None:
    """Two equal rows of a message are both kept, and a redelivery of the message adds neither again."""
    message = (CUSTOMER, MESSAGE_ID, [(0, 7), (1, 7)])
    assert TableCounts(2, 0, 0) == insert(facts, LINES, message)
    fresh = (CUSTOMER, MESSAGE_ID + 1, [(0, 7)])
    assert TableCounts(3, 0, 0) == insert(facts, LINES, message, fresh, redelivered=[MESSAGE_ID])
    assert 3 == count(facts, "lines")


def test_half_inserted_message_is_completed(facts: StoredFacts) -> None:
    """After a crash between two rows of a message only the missing row is added."""
    insert(facts, LINES, (CUSTOMER, MESSAGE_ID, [(0, 7)]))
    whole = (CUSTOMER, MESSAGE_ID, [(0, 7), (1, 8)])
    assert TableCounts(2, 0, 0) == insert(facts, LINES, whole, redelivered=[MESSAGE_ID])
    assert 2 == count(facts, "lines")


def test_identity_may_repeat_on_another_day_only_where_the_table_says_so(facts: StoredFacts) -> None:
    """With `identity_days` the same id on the next day is a new item, without it is a duplicate."""
    tomorrow = NOON_MS + 86_400_000
    insert(facts, SPANS, (CUSTOMER, MESSAGE_ID, [span(0)]))
    assert TableCounts(1, 0, 0) == insert(facts, SPANS, (CUSTOMER, MESSAGE_ID + 1, [span(0, start=tomorrow)]))
    event_id = "0b54a3cc-9f0d-4b0c-8f5f-0d6c0f0f2f11"
    insert(facts, CLICKS, (CUSTOMER, MESSAGE_ID, [(0, NOON_MS, event_id)]))
    assert TableCounts(0, 1, 0) == insert(facts, CLICKS, (CUSTOMER, MESSAGE_ID + 1, [(0, tomorrow, event_id)]))


def test_identities_of_bytes_numbers_and_times_are_recognised(facts: StoredFacts) -> None:
    """Ids of arbitrary bytes, times and big numbers identify a row as exactly as text does."""
    ids = [bytes(16), b"\xff" * 16, b"\0\xc3" * 8]
    rows = [(i, item, NOON_MS + i, 2**64 - 1) for i, item in enumerate(ids)]
    assert TableCounts(3, 0, 0) == insert(facts, RAW, (CUSTOMER, MESSAGE_ID, rows))
    near = [(9, b"\xff" * 15 + b"\xfe", NOON_MS + 1, 2**64 - 1), (10, b"\xff" * 16, NOON_MS + 2, 2**64 - 1)]
    assert TableCounts(2, 3, 0) == insert(facts, RAW, (CUSTOMER, MESSAGE_ID + 1, [*rows, *near]))
    assert 5 == count(facts, "raw")


def test_customers_do_not_share_identities(facts: StoredFacts) -> None:
    """The same ids of two customers are two items, also within one batch."""
    parts = [(CUSTOMER, MESSAGE_ID, [span(0)]), (OTHER, MESSAGE_ID + 1, [span(0)])]
    assert TableCounts(2, 0, 0) == insert(facts, SPANS, *parts)
    assert (1, 1) == (count(facts, "spans", CUSTOMER), count(facts, "spans", OTHER))


def test_rejects_are_kept_with_their_reason(facts: StoredFacts) -> None:
    """What was not stored can be looked up, once, with its field and reason."""
    reject = Reject(Reason.MISSING_FIELD, 3, "spans.name", quarantined=True)
    for _ in range(2):
        facts.insert(Decoded(items=1, rejects=[reject]), message_id=MESSAGE_ID)
    read = "SELECT contract, reason, field, quarantined FROM rejects WHERE customer = {customer:String}"
    assert [Refusal("probe", "missing_field", "spans.name", True)] == facts.rows(read, Refusal)


def test_times_of_hundreds_of_months_harm_nobody(facts: StoredFacts) -> None:
    """A message with absurd event times is stored whole, next to its neighbours and in few parts."""
    month_ms = 31 * 86_400_000
    wild = [span(i, f"w{i}", start=month_ms * i) for i in range(1800)]
    extremes = [span(2000, "min", start=-(2**62)), span(2001, "max", start=2**62)]
    parts = [(CUSTOMER, MESSAGE_ID, [*wild, *extremes]), (OTHER, MESSAGE_ID + 1, [span(0)])]
    assert TableCounts(1803, 0, 0) == insert(facts, SPANS, *parts)
    assert 1 == count(facts, "spans", OTHER)
    (unbelieved,) = facts.rows(
        "SELECT count() AS n FROM spans WHERE customer = {customer:String} AND day = {day:Date}",
        Count,
        day=date(1970, 1, 1),
    )
    believed = sum(1 for i in range(1800) if 2020 <= (1970 + month_ms * i / 31_556_952_000) < 2100)
    assert abs(1802 - believed - unbelieved.n) <= 1
    parts_of_table = (
        "SELECT count() FROM system.parts WHERE active AND table = 'spans' AND database = currentDatabase()"
    )
    assert facts.store._look.rows(parts_of_table)[0][0] < 40


def test_erase_counts_and_removes_one_customers_rows(facts: StoredFacts) -> None:
    """Erase says exactly how many rows went and leaves other customers alone; the ids may come again."""
    insert(facts, SPANS, (CUSTOMER, MESSAGE_ID, [span(0, "a"), span(1, "b")]), (OTHER, MESSAGE_ID + 1, [span(0)]))
    assert 2 == facts.store.writer.erase("spans", CUSTOMER)
    assert 0 == facts.store.writer.erase("spans", CUSTOMER)
    assert (0, 1) == (count(facts, "spans"), count(facts, "spans", OTHER))
    assert TableCounts(1, 0, 0) == insert(facts, SPANS, (CUSTOMER, MESSAGE_ID + 2, [span(0, "a")]))


def test_rows_the_store_refuses_are_named_and_harm_no_later_insert(facts: StoredFacts) -> None:
    """An insert that the store refuses raises a clear error, and the next insert works."""
    rows = rows_of(CLICKS, (CUSTOMER, MESSAGE_ID, [(0, NOON_MS, "not-a-uuid")]))
    with pytest.raises(Undecodable, match="clicks") as refusal:
        facts.store.writer.insert(InsertBatch({"clicks": rows}))
    assert Reason.STORE_REFUSED == refusal.value.reason
    assert "not-a-uuid" not in str(refusal.value)
    assert TableCounts(1, 0, 0) == insert(facts, SPANS, (CUSTOMER, MESSAGE_ID, [span(0)]))


def test_a_store_that_takes_rows_says_so(facts: StoredFacts) -> None:
    """After a refusal the pipeline can tell rows that are wrong from a store that is unwell."""
    assert facts.store.writer.healthy()
    assert facts.store.healthy()
    facts.store._look.command("DROP TABLE schema_versions")
    assert not facts.store.writer.healthy()
    assert facts.store.healthy()


def test_insert_numbers_ascend_across_restarts_and_clocks_that_go_back(open_store: OpenStore) -> None:
    """A restart with an earlier clock continues after the highest number in the store."""
    first = open_store(CONTRACT)
    before = first.writer.insert(InsertBatch({"lines": rows_of(LINES, (CUSTOMER, MESSAGE_ID, [(0, 1)]))})).batch
    first.close()
    again = open_store(CONTRACT, clock=lambda: datetime(2025, 1, 1, tzinfo=UTC))
    assert before < again.writer.barrier()


class Item(NamedTuple):
    key: int
    content: int


MESSAGES = st.lists(
    st.lists(st.builds(Item, st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=4), min_size=1, max_size=6
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, seed=st.integers(0, 2**16))
def test_any_regrouping_and_redelivery_stores_each_item_once(
    facts: StoredFacts, messages: list[list[Item]], seed: int
) -> None:
    """However messages are grouped and however often they come again, each item is stored once and counted exactly."""
    shuffle = random.Random(seed)
    customer = f"cust_{uuid.uuid4().hex[:16]}"
    queue = {MESSAGE_ID + i: items for i, items in enumerate(messages)}
    totals: Counter[str] = Counter()
    while queue:
        group = sorted(shuffle.sample(sorted(queue), shuffle.randint(1, len(queue))))
        parts = [(customer, i, [span(p, str(k), ms=c) for p, (k, c) in enumerate(queue[i])]) for i in group]
        counts = insert(facts, SPANS, *parts, redelivered=group)
        if shuffle.random() < 0.6:  # else the process died before it could acknowledge
            totals.update(counts._asdict())
            for message_id in group:
                del queue[message_id]
    items = [item for message in messages for item in message]
    distinct = len({item.key for item in items})
    assert distinct == count(facts, "spans", customer) == totals["stored"]
    assert len(items) - distinct == totals["duplicate"] + totals["conflict"]
    assert len(items) - distinct == count(facts, "duplicates", customer)


def test_every_spine_table_is_on_the_list_of_fact_tables() -> None:
    """Duplicates and rejects have a retention like any contract's table."""
    assert {"duplicates", "rejects"} == {table.name for table in schema.fact_tables(()) if table.retention_days}
