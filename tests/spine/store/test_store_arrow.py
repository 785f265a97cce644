"""From tuples to columns."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raingauge.contract import Column, Table, Undecodable
from raingauge.errors import Reason
from raingauge.store.arrow import arrow_type, build

MESSAGE_ID = int(datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC).timestamp() * 1_000_000)


def table(*columns: tuple[str, str], time: str = "") -> Table:
    return Table("probe", tuple(Column(name, type_, "why") for name, type_ in columns), time=time)


@pytest.mark.parametrize(
    ("clickhouse_type", "expected"),
    [
        ("LowCardinality(Nullable(String))", pa.string()),
        ("Array(LowCardinality(String))", pa.list_(pa.string())),
        ("Map(LowCardinality(String), UInt64)", pa.map_(pa.string(), pa.uint64())),
        ("SimpleAggregateFunction(sum, Float64)", pa.float64()),
        ("DateTime64(9, 'UTC')", pa.timestamp("ns", "UTC")),
        ("DateTime64(3)", pa.timestamp("ms", "UTC")),
        ("FixedString(16)", pa.binary(16)),
        ("Date", pa.date32()),
    ],
)
def test_column_types_have_their_arrow_type(clickhouse_type: str, expected: pa.DataType) -> None:
    """Each kind of ClickHouse type that tables use maps to the Arrow type that the store takes for it."""
    assert expected == arrow_type(clickhouse_type)


@pytest.mark.parametrize("clickhouse_type", ["Ring", "DateTime64(4)", "AggregateFunction(uniq, String)", ""])
def test_types_that_tables_do_not_use_are_refused(clickhouse_type: str) -> None:
    """A declaration with a type that cannot be built fails by name."""
    with pytest.raises(ValueError, match="not a type"):
        arrow_type(clickhouse_type)


def test_spine_columns_come_first_and_the_day_is_that_of_the_event() -> None:
    """A row carries its customer, the UTC day of its own time, its message and its position."""
    rows = build(table(("at", "DateTime64(3, 'UTC')"), time="at"), "cust_a", MESSAGE_ID, [(4, 1_763_596_800_000)])
    at = datetime(2025, 11, 20, tzinfo=UTC)
    expected = {"customer": "cust_a", "day": at.date(), "message_id": MESSAGE_ID, "position": 4, "at": at}
    assert [expected] == rows.to_pylist()
    assert list(expected) == rows.schema.names


def test_tables_without_time_use_the_day_of_arrival() -> None:
    """Without a time of its own a row belongs to the UTC day on which its message arrived."""
    rows = build(table(("n", "Int64")), "cust_a", MESSAGE_ID, [(0, 1)])
    assert [date(2026, 11, 20)] == rows["day"].to_pylist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from([0, 3, 6, 9]))
def test_days_outside_2020_to_2099_become_1970(ticks: list[int], precision: int) -> None:
    """Whatever time a sender claims, the day is believed from 2020 to 2099 and otherwise set aside."""
    rows = build(table(("at", f"DateTime64({precision})"), time="at"), "c", MESSAGE_ID, list(enumerate(ticks)))
    per_day = 86_400 * 10**precision
    days = [tick // per_day for tick in ticks]
    first, end = date(2020, 1, 1).toordinal() - 719_163, date(2100, 1, 1).toordinal() - 719_163
    expected = [day if first <= day < end else 0 for day in days]
    assert expected == rows["day"].cast(pa.int32()).to_pylist()


@pytest.mark.parametrize(
    ("type_", "value"),
    [("UInt8", 256), ("Int64", "secret"), ("String", None), ("String", 5), ("Float64", "secret"), ("UInt64", 2**64)],
)
def test_a_value_its_column_cannot_hold_is_named_without_being_quoted(type_: str, value: Any) -> None:
    """The error names table and column and keeps the value to itself."""
    with pytest.raises(Undecodable, match=r"^probe\.wrong: ") as refusal:
        build(table(("wrong", type_)), "cust_a", MESSAGE_ID, [(0, value)])
    assert Reason.STORE_REFUSED == refusal.value.reason
    assert "secret" not in str(refusal.value)


def test_a_row_with_the_wrong_number_of_values_is_refused() -> None:
    """A decoder that forgets a column is told so, whichever row it was."""
    with pytest.raises(Undecodable, match="number of values"):
        build(table(("a", "Int64"), ("b", "Int64")), "cust_a", MESSAGE_ID, [(0, 1, 2), (1, 1)])


def test_no_rows_give_columns_of_the_right_types() -> None:
    """An empty message builds an empty batch of the same shape."""
    some = table(("a", "Int64"), ("at", "DateTime64(6)"), time="at")
    full, empty = build(some, "c", MESSAGE_ID, [(0, 1, 2)]), build(some, "c", MESSAGE_ID, [])
    assert (full.schema, 0) == (empty.schema, empty.num_rows)
