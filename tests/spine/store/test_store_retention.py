"""What expires, and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pytest

from raingauge.contract import Column, Contract, Decoded, Knob, Reason, Reject, Rollup, Table
from raingauge.store.arrow import build
from raingauge.store.retention import Deleted
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

if TYPE_CHECKING:
    from tests.conftest import OpenStore, StoreFacts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS_KEPT = Knob("calls_days", 30, "How long calls stay.", "days")
SUMS_KEPT = Knob("calls_daily_days", 60, "How long sums stay.", "days")
CALLS = Table("calls", (Column("name", "String", "what"),), retention_days=DAYS_KEPT)
DAILY = Rollup(
    "calls_daily",
    (Column("calls", "UInt64", "how many"),),
    (),
    "calls",
    "SELECT customer, day, count() FROM calls WHERE {where} GROUP BY customer, day",
    SUMS_KEPT,
)
CONTRACT = Contract("calls", "Calls", (), (CALLS,), (DAILY,))


class Name(msgspec.Struct):
    name: str


def call(store: Store, customer: str, name: str, days_ago: float) -> None:
    message_id = int((NOW - timedelta(days=days_ago)).timestamp() * 1_000_000)
    rows = pa.Table.from_batches([build(CALLS, customer, message_id, [(0, name)])])
    store.writer.insert(InsertBatch({"calls": rows}))


def names(store: Store, customer: str) -> list[str]:
    sql = "SELECT name FROM calls WHERE customer = {customer:String} ORDER BY name"
    return [row.name for row in store.reader.rows(sql, {"customer": customer}, Name).rows]


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store(CONTRACT, clock=lambda: NOW)


def test_rows_go_by_their_time_of_arrival(store: Store) -> None:
    """Rows that arrived longer ago than the setting go, sums of days past theirs too; all others stay."""
    for name, days_ago in {"new": 0.0, "kept": 29.999, "old": 30.001, "ancient": 400.0}.items():
        call(store, "cust_a", name, days_ago)
    assert [Deleted("calls", 2), Deleted("calls_daily", 1)] == store.retention.run()
    assert ["kept", "new"] == names(store, "cust_a")
    assert [] == store.retention.run()


def test_a_customer_may_have_its_own_number_of_days(store: Store) -> None:
    """An override shortens or lengthens the stay of one customer's rows and of nobody else's."""
    for customer in ("cust_short", "cust_usual", "cust_long"):
        call(store, customer, "young", 8)
        call(store, customer, "old", 40)
    assert [Deleted("calls", 3)] == store.retention.run({"calls": {"cust_short": 7, "cust_long": 90}})
    found = {customer: names(store, customer) for customer in ("cust_short", "cust_usual", "cust_long")}
    assert {"cust_short": [], "cust_usual": ["young"], "cust_long": ["old", "young"]} == found


def test_tables_without_a_setting_are_kept(open_store: OpenStore) -> None:
    """A table that never expires loses nothing, except where a customer's override says so."""
    store = open_store(Contract("calls", "Calls", (), (replace(CALLS, retention_days=None),)), clock=lambda: NOW)
    call(store, "cust_a", "old", 900)
    call(store, "cust_b", "old", 900)
    assert [] == store.retention.run()
    assert [Deleted("calls", 1)] == store.retention.run({"calls": {"cust_b": 7}})
    assert (["old"], []) == (names(store, "cust_a"), names(store, "cust_b"))


def test_rejects_and_sums_expire_by_their_own_settings(stored_facts: StoreFacts) -> None:
    """Reasons of rejected items and old sums go when their days are over."""
    later = NOW
    facts = stored_facts(CONTRACT, clock=lambda: later)
    reject = Reject(Reason.MISSING_FIELD, 0, "name")
    facts.insert(Decoded(items=2, rows={"calls": [(1, "x")]}, rejects=[reject]))
    facts.store.rollups.run()
    later = NOW + timedelta(days=31)
    assert {("calls", 1), ("rejects", 1)} == {(gone.table, gone.rows) for gone in facts.store.retention.run()}
    later = NOW + timedelta(days=61)
    assert [Deleted("calls_daily", 1)] == facts.store.retention.run()
