"""Identities that outlive their rows."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contract import Column, Contract, Knob, Table, Undecodable
from raingauge.store.arrow import build
from raingauge.store.retention import Deleted
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch, TableCounts

if TYPE_CHECKING:
    from tests.conftest import OpenStore

CUSTOMER, OTHER = "cust_0123456789abcdef", "cust_fedcba9876543210"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1_000_000)
CLICKS = Table(
    "clicks",
    (Column("event_id", "FixedString(16)", "identity"), Column("content", "UInt32", "what it says")),
    identity=("event_id",),
    identity_days=False,
    keep_identity=True,
    fingerprint="content",
    retention_days=Knob("clicks_days", 30, "How long clicks stay.", "days"),
)
CONTRACT = Contract("clicks", "Clicks", (), (CLICKS,))
FORGETFUL = Contract("clicks", "Clicks", (), (replace(CLICKS, keep_identity=False),))

Click: TypeAlias = tuple[str, int]
"""An id and its content."""


def deliver(
    store: Store, *clicks: Click, message_id: int = NOW_US, customer: str = CUSTOMER, redelivered: bool = False
) -> TableCounts:
    """What became of one message."""
    return deliver_all(store, {message_id: clicks}, customer, redelivered=redelivered)


def deliver_all(
    store: Store, messages: dict[int, Sequence[Click]], customer: str = CUSTOMER, *, redelivered: bool
) -> TableCounts:
    rows = [
        build(CLICKS, customer, message_id, [(i, key.encode().ljust(16), n) for i, (key, n) in enumerate(clicks)])
        for message_id, clicks in messages.items()
    ]
    again = frozenset(messages) if redelivered else frozenset()
    return store.writer.insert(InsertBatch({"clicks": pa.Table.from_batches(rows)}, again)).tables["clicks"]


def stored(store: Store, customer: str = CUSTOMER) -> int:
    """Rows that are stored now."""
    sql = "SELECT count() FROM clicks WHERE customer = {customer:String}"
    return int(store._look.rows(sql, {"customer": customer})[0][0])


def test_a_copy_of_a_row_that_retention_deleted_is_still_a_duplicate(open_store: OpenStore) -> None:
    """Retention takes rows and not the promise: copies and conflicts are told apart from new rows as before."""
    now = NOW
    store = open_store(CONTRACT, clock=lambda: now)
    assert TableCounts(2, 0, 0) == deliver(store, ("a", 1), ("b", 1))
    now = NOW + timedelta(days=31)
    assert [Deleted("clicks", 2)] == store.retention.run()
    later = NOW_US + 31 * 86_400_000_000
    assert TableCounts(1, 1, 1) == deliver(store, ("a", 1), ("b", 2), ("c", 1), message_id=later)
    store.close()
    assert TableCounts(0, 1, 1) == deliver(open_store(CONTRACT), ("a", 1), ("b", 2), message_id=later + 1)


def test_what_a_crash_left_between_rows_and_identities_is_healed_at_the_next_start(open_store: OpenStore) -> None:
    """A copy that comes before the interrupted message is a duplicate; the message itself counts as stored once."""
    store = open_store(CONTRACT)
    deliver(store, ("a", 1), message_id=NOW_US)
    deliver(store, ("b", 1), ("c", 1), message_id=NOW_US + 1)
    store._upkeep.command("ALTER TABLE clicks_identities DELETE WHERE trimRight(event_id) IN ('b', 'c')")
    assert [(1,)] == store._look.rows("SELECT count() FROM clicks_identities")
    store.close()
    store = open_store(CONTRACT)
    assert TableCounts(0, 1, 0) == deliver(store, ("b", 1), message_id=NOW_US + 2)
    assert TableCounts(2, 0, 0) == deliver(store, ("b", 1), ("c", 1), message_id=NOW_US + 1, redelivered=True)
    assert 3 == stored(store)


def test_an_error_between_rows_and_identities_is_healed_before_the_next_look(open_store: OpenStore) -> None:
    """When identities cannot be written the insert fails; once they can, nothing is stored twice."""
    store = open_store(CONTRACT)
    store._upkeep.command("ALTER TABLE clicks_identities ADD CONSTRAINT closed CHECK batch = 0")
    with pytest.raises(Undecodable, match="clicks"):
        deliver(store, ("a", 1))
    store._upkeep.command("ALTER TABLE clicks_identities DROP CONSTRAINT closed")
    assert TableCounts(0, 0, 1) == deliver(store, ("a", 2), message_id=NOW_US + 1)
    assert TableCounts(1, 0, 0) == deliver(store, ("a", 1), redelivered=True)
    assert 1 == stored(store)


def test_rows_of_an_older_version_are_remembered_from_the_first_start_on(open_store: OpenStore) -> None:
    """A table that begins to keep identities knows those of all the rows it holds."""
    now = NOW
    store = open_store(FORGETFUL)
    for number in range(3):
        deliver(store, (f"old{number}", 1), message_id=NOW_US + number)
    store.close()
    store = open_store(CONTRACT, clock=lambda: now)
    now = NOW + timedelta(days=31)
    assert [Deleted("clicks", 3)] == store.retention.run()
    again = [(f"old{number}", 1) for number in range(3)]
    assert TableCounts(1, 3, 0) == deliver(store, *again, ("new", 1), message_id=NOW_US + 9)


def test_erasing_a_customer_forgets_its_identities(open_store: OpenStore) -> None:
    """Nothing of an erased customer stays, not even ids of rows that retention had deleted; others keep theirs."""
    now = NOW
    store = open_store(CONTRACT, clock=lambda: now)
    deliver(store, ("a", 1), customer=CUSTOMER)
    deliver(store, ("a", 1), customer=OTHER)
    now = NOW + timedelta(days=31)
    store.retention.run()
    assert 0 == store.writer.erase("clicks", CUSTOMER)
    assert [(OTHER,)] == store._look.rows("SELECT DISTINCT customer FROM clicks_identities")
    later = NOW_US + 31 * 86_400_000_000
    assert TableCounts(1, 0, 0) == deliver(store, ("a", 1), customer=CUSTOMER, message_id=later)
    assert TableCounts(0, 1, 0) == deliver(store, ("a", 1), customer=OTHER, message_id=later)


MESSAGES = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 1)), min_size=1, max_size=4), min_size=1, max_size=6
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, seed=st.integers(0, 2**16))
def test_any_regrouping_and_redelivery_counts_each_item_once(
    open_store: OpenStore, messages: list[list[Click]], seed: int
) -> None:
    """However messages are grouped and however often they come again, each id is stored once and counted exactly."""
    shuffle = random.Random(seed)
    store = open_store(CONTRACT)
    customer = f"cust_{uuid.uuid4().hex[:16]}"
    queue: dict[int, Sequence[Click]] = {NOW_US + i: clicks for i, clicks in enumerate(messages)}
    totals: Counter[str] = Counter()
    while queue:
        group = {i: queue[i] for i in sorted(shuffle.sample(sorted(queue), shuffle.randint(1, len(queue))))}
        counts: Any = deliver_all(store, group, customer, redelivered=True)
        if shuffle.random() < 0.6:  # else the process died before it could acknowledge
            totals.update(counts._asdict())
            for message_id in group:
                del queue[message_id]
    store.close()
    clicks = [click for message in messages for click in message]
    distinct = len({key for key, _ in clicks})
    assert distinct == totals["stored"]
    assert len(clicks) - distinct == totals["duplicate"] + totals["conflict"]
    assert distinct == stored(open_store(CONTRACT), customer)
