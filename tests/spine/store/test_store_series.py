"""How many series a customer may bring: what passes, what is rejected, and that replaying changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raingauge.contract import Column, Contract, Knob, Settings, Table
from raingauge.store.arrow import build
from raingauge.store.series import SeriesLimits
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch, TableCounts

if TYPE_CHECKING:
    from tests.conftest import OpenStore

ACME, OTHER = "cust_0123456789abcdef", "cust_fedcba9876543210"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = 86_400_000_000
FIRST_ID = int(NOON.timestamp() * 1_000_000)
LIMIT = Knob("probe_series_per_day", 3, "Most different series in a day.")
NUMBERS = Table(
    "numbers",
    (
        Column("series", "UInt64", "which stream"),
        Column("time", "DateTime64(6, 'UTC')", "when"),
        Column("value", "Float64", "how much"),
    ),
    time="time",
    identity=("series", "time"),
    series="series",
    series_limit=LIMIT,
)
CONTRACT = Contract("probe", "Probe", (), (NUMBERS,), knobs=(LIMIT,))

Message: TypeAlias = tuple[str, int, Sequence[int]]
"""Customer, message id, and the series of its rows; every row is of the same moment."""


class Series(msgspec.Struct):
    series: list[int]


class Refusal(msgspec.Struct):
    message_id: int
    position: int
    contract: str
    reason: str
    quarantined: bool


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store(CONTRACT, clock=lambda: NOON)


def rows_of(*messages: Message, at: datetime = NOON) -> pa.Table:
    """Rows of many messages in the order given."""
    batches = []
    for customer, message_id, series in messages:
        rows: list[tuple[Any, ...]] = [(position, one, at, 1.0) for position, one in enumerate(series)]
        batches.append(build(NUMBERS, customer, message_id, rows))
    return pa.Table.from_batches(batches)


def insert(store: Store, *messages: Message, again: bool = False, at: datetime = NOON) -> TableCounts:
    redelivered = frozenset(message_id for _, message_id, _ in messages) if again else frozenset()
    return store.writer.insert(InsertBatch({NUMBERS.name: rows_of(*messages, at=at)}, redelivered)).tables["numbers"]


def stored(store: Store, customer: str = ACME) -> list[int]:
    sql = "SELECT arraySort(groupArray(series)) AS series FROM numbers WHERE customer = {customer:String}"
    return store.reader.rows(sql, {"customer": customer}, Series).rows[0].series


def refusals(store: Store) -> list[tuple[int, int]]:
    """Message (counted from the first) and position of everything in the table of rejects."""
    sql = (
        "SELECT message_id, position, contract, reason, quarantined FROM rejects WHERE customer = {customer:String}"
        " ORDER BY message_id, position"
    )
    found = store.reader.rows(sql, {"customer": ACME}, Refusal).rows
    assert {("probe", "series_limit", False)} >= {(one.contract, one.reason, one.quarantined) for one in found}
    return [(one.message_id - FIRST_ID, one.position) for one in found]


def test_new_series_beyond_the_limit_are_rejected_and_known_ones_go_on(store: Store) -> None:
    """The first series stay for the day; the table of rejects names every row that was not stored."""
    assert TableCounts(3, 0, 0, 1) == insert(store, (ACME, FIRST_ID, [10, 11, 12, 13]))
    later = NOON + timedelta(minutes=1)
    assert TableCounts(2, 0, 0, 2) == insert(store, (ACME, FIRST_ID + 1, [14, 10, 15, 12]), at=later)
    assert [10, 10, 11, 12, 12] == stored(store)
    assert [(0, 3), (1, 0), (1, 2)] == refusals(store)


def test_each_customer_has_its_own_limit(store: Store) -> None:
    """One customer's series use up nothing of another's, in one insert or in two."""
    both = (ACME, FIRST_ID, [10, 11, 12, 13]), (OTHER, FIRST_ID + 1, [20, 21, 22, 23])
    assert TableCounts(6, 0, 0, 2) == insert(store, *both)
    assert ([10, 11, 12], [20, 21, 22]) == (stored(store), stored(store, OTHER))


def test_the_next_day_begins_anew(store: Store) -> None:
    """What counts is the day on which a message arrived, not the times it carries."""
    insert(store, (ACME, FIRST_ID, [10, 11, 12]))
    assert TableCounts(1, 0, 0, 0) == insert(store, (ACME, FIRST_ID + DAY, [13]))
    assert TableCounts(0, 0, 0, 1) == insert(store, (ACME, FIRST_ID + 1, [14]))


def test_a_copy_of_a_stored_point_is_a_duplicate_whatever_the_limit(store: Store) -> None:
    """Points that were stored on an earlier day and are sent again cost nothing, and take nobody's place."""
    insert(store, (ACME, FIRST_ID - DAY, [1, 2, 3]))
    assert TableCounts(0, 3, 0, 0) == insert(store, (ACME, FIRST_ID, [1, 2, 3]))
    assert TableCounts(3, 0, 0, 1) == insert(store, (ACME, FIRST_ID + 1, [10, 11, 12, 13]))
    assert TableCounts(0, 1, 0, 0) == insert(store, (ACME, FIRST_ID + 2, [1]))


def test_a_message_that_comes_again_after_a_restart_is_cut_in_the_same_place(open_store: OpenStore) -> None:
    """Neither the facts nor the rejects change, and the counts are those of the first time."""
    first = open_store(CONTRACT, clock=lambda: NOON)
    message = (ACME, FIRST_ID, [10, 11, 12, 13, 14])
    expected = TableCounts(3, 0, 0, 2)
    assert expected == insert(first, message)
    first.close()
    second = open_store(CONTRACT, clock=lambda: NOON + timedelta(days=1))
    assert expected == insert(second, message, again=True)
    assert expected == insert(second, message, again=True)
    assert [10, 11, 12] == stored(second)
    assert [(0, 3), (0, 4)] == refusals(second)


def test_erasing_makes_room(store: Store) -> None:
    """A customer whose facts were deleted begins anew on the same day."""
    insert(store, (ACME, FIRST_ID, [10, 11, 12]))
    store.writer.erase(NUMBERS.name, ACME)
    assert TableCounts(3, 0, 0, 0) == insert(store, (ACME, FIRST_ID + 1, [13, 14, 15]))


def test_the_setting_is_obeyed(open_store: OpenStore) -> None:
    """An operator may allow more."""
    store = open_store(CONTRACT, settings=Settings({LIMIT.name: 4}), clock=lambda: NOON)
    assert TableCounts(4, 0, 0, 1) == insert(store, (ACME, FIRST_ID, [10, 11, 12, 13, 14]))


def test_little_memory_changes_no_verdict(store: Store) -> None:
    """Series of customers that are not in memory any more are read from the store again."""
    writing = store.writer._session
    limits = SeriesLimits(writing, Settings(), remembered_max=4)
    for customer in (ACME, OTHER):
        insert(store, (customer, FIRST_ID, [10, 11, 12]))
    for customer in (ACME, OTHER, ACME, OTHER):
        assert [1] == limits.over(NUMBERS, rows_of((customer, FIRST_ID + 1, [10, 13])), ())
    assert 1 == len(limits._seen)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(st.lists(st.integers(0, 7), max_size=6), min_size=1, max_size=6),
    repeats=st.lists(st.integers(0, 5), max_size=4),
)
def test_any_replay_counts_every_row_once_and_changes_no_fact(
    open_store: OpenStore, messages: list[list[int]], repeats: list[int]
) -> None:
    """Whatever comes again, by whichever process: the same rows are stored, the same are rejected."""
    store = open_store(CONTRACT, clock=lambda: NOON)
    for customer_table in (NUMBERS.name, "rejects", "duplicates"):
        store.writer.erase(customer_table, ACME)
    sent: list[Message] = [(ACME, FIRST_ID + number, series) for number, series in enumerate(messages)]
    first = [insert(store, message) for message in sent]
    assert [len(series) for series in messages] == [sum(counts) for counts in first]
    facts, rejected = stored(store), refusals(store)
    assert len(set(facts)) <= 3
    again = open_store(CONTRACT, clock=lambda: NOON)
    for number in repeats:
        if number < len(sent):
            assert first[number] == insert(again, sent[number], again=True)
    assert (facts, rejected) == (stored(store), refusals(store))
