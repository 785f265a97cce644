"""From a decoder's tuples to Arrow columns, in the types the store expects.

Runs in the decode workers, so it imports neither the database client nor the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raingauge.contract import Table, Undecodable
from raingauge.errors import Reason

SPINE: Final = pa.schema(
    [
        pa.field("customer", pa.string(), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("message_id", pa.uint64(), nullable=False),
        pa.field("position", pa.uint32(), nullable=False),
    ]
)
"""What the spine puts in front of a table's own columns. `received_at` follows from `message_id`."""

FIRST_DAY: Final = date(2020, 1, 1)
END_DAY: Final = date(2100, 1, 1)
"""Days from FIRST_DAY up to END_DAY are believed; every other day is stored as 1970-01-01."""

_SIMPLE: Final[dict[str, pa.DataType]] = {
    "String": pa.string(),
    "UUID": pa.string(),
    "Bool": pa.bool_(),
    "Date": pa.date32(),
    "DateTime": pa.timestamp("s", "UTC"),
    "DateTime('UTC')": pa.timestamp("s", "UTC"),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Int8": pa.int8(), "Int16": pa.int16(), "Int32": pa.int32(), "Int64": pa.int64(),
    "UInt8": pa.uint8(), "UInt16": pa.uint16(), "UInt32": pa.uint32(), "UInt64": pa.uint64(),
}  # fmt: skip
_UNITS: Final = {0: "s", 3: "ms", 6: "us", 9: "ns"}
_TICKS_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_WRAPPED: Final = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


def arrow_type(clickhouse_type: str) -> pa.DataType:  # noqa: PLR0911 - a table of types
    """The Arrow type whose values are inserted into a column of this ClickHouse type.

    Times are integers of the column's own precision or aware datetimes. Raises ValueError for a type that fact
    tables do not use.
    """
    if found := _SIMPLE.get(clickhouse_type):
        return found
    wrapped = _WRAPPED.fullmatch(clickhouse_type)
    name, inner = wrapped.groups() if wrapped else (clickhouse_type, "")
    match name:
        case "LowCardinality" | "Nullable":
            return arrow_type(inner)
        case "SimpleAggregateFunction":
            return arrow_type(inner.partition(",")[2].strip())
        case "Array":
            return pa.list_(arrow_type(inner))
        case "Map":
            key, _, value = inner.partition(",")
            return pa.map_(arrow_type(key.strip()), arrow_type(value.strip()))
        case "DateTime64" if (precision := int(inner.partition(",")[0])) in _UNITS:
            return pa.timestamp(_UNITS[precision], "UTC")
        case "FixedString":
            return pa.binary(int(inner))
        case _:
            raise ValueError(f"{clickhouse_type}: not a type that fact tables use")


@lru_cache(maxsize=256)
def schema_of(table: Table) -> pa.Schema:
    """Spine columns, then the table's own, in the order in which they are built and inserted."""
    fields = [
        pa.field(column.name, arrow_type(column.type), nullable="Nullable(" in column.type.partition("Array(")[0])
        for column in table.columns
    ]
    return pa.schema([*SPINE, *fields])


class Part(NamedTuple):
    """One message's rows `(position, *values)` of one table."""

    customer: str
    message_id: int
    rows: Sequence[tuple[Any, ...]]


def build(table: Table, customer: str, message_id: int, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """One message's rows with their spine columns; raises like `build_all`."""
    return build_all(table, [Part(customer, message_id, rows)])


def build_all(table: Table, parts: Iterable[Part]) -> pa.RecordBatch:
    """The rows of many messages, in their order, with their spine columns.

    Raises Undecodable (STORE_REFUSED) naming the column whose values its type cannot hold, whichever message's.
    """
    schema = schema_of(table)
    rows: list[tuple[Any, ...]] = []
    customers: list[str] = []
    message_ids: list[int] = []
    for part in parts:
        rows += part.rows
        customers += [part.customer] * len(part.rows)
        message_ids += [part.message_id] * len(part.rows)
    if any(len(row) != len(table.columns) + 1 for row in rows):
        raise Undecodable(f"{table.name}: a row has the wrong number of values", Reason.STORE_REFUSED)
    positions, *values = zip(*rows, strict=True) if rows else ((),) * (len(table.columns) + 1)
    arrays = {
        field.name: _array(table, field, column)
        for field, column in zip(list(schema)[len(SPINE) :], values, strict=True)
    }
    ids = pa.array(message_ids, pa.uint64())
    # An id is the time of arrival in microseconds.
    day = _days(arrays[table.time]) if table.time else _days(ids.cast(pa.int64()).cast(pa.timestamp("us", "UTC")))
    spine = [pa.array(customers, pa.string()), day, ids, pa.array(positions, pa.uint32())]
    return pa.RecordBatch.from_arrays([*spine, *arrays.values()], schema=schema)


def _array(table: Table, field: pa.Field, values: Iterable[Any]) -> pa.Array:
    try:
        array = pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as problem:
        # The library's text quotes the value, which may be somebody's data: only the kind of error is kept.
        detail = f"{table.name}.{field.name}: {type(problem).__name__}"
        raise Undecodable(detail, Reason.STORE_REFUSED) from None
    if array.null_count and not field.nullable:
        raise Undecodable(f"{table.name}.{field.name}: no value", Reason.STORE_REFUSED)
    return array


def _days(times: pa.Array) -> pa.Array:
    """UTC days of timestamps; what is outside the believed range becomes 1970-01-01."""
    ticks_per_day = 86_400 * _TICKS_PER_SECOND[times.type.unit]
    first, end = (((day - date(1970, 1, 1)).days) * ticks_per_day for day in (FIRST_DAY, END_DAY))
    ticks = times.cast(pa.int64())
    believed = pc.and_(pc.greater_equal(ticks, first), pc.less(ticks, end))
    days = pc.divide(pc.if_else(believed, ticks, 0), ticks_per_day)
    return days.cast(pa.int32()).cast(pa.date32())
