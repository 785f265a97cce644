"""The stored tables: CREATE TABLE from a contract's declarations, and their growth from version to version.

Sorted by customer and day, then what the contract orders by, then identity: a time range of one customer is one
stretch of disk, ids of one trace lie together, and the lookup for duplicates reads few granules.

Partitions are months of `day`, but only for days near the arrival. A message with events of 900 different months
would otherwise become 900 parts, each with its own files to sync; those rows share the partition 197001 instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raingauge.contract import Column, Contract, Numbering, Rollup, Table
from raingauge.errors import DataDirectoryError
from raingauge.settings import REJECT_DAYS
from raingauge.store.client import Session

SCHEMA_VERSION: Final = 1
"""Raised whenever a stored table changes in a way that older code cannot read."""

DUPLICATES: Final = Table(
    name="duplicates",
    columns=(
        Column("source", "LowCardinality(String)", "which table already held the item"),
        Column("label", "LowCardinality(String)", "what the item was, as its contract calls it"),
        Column("conflict", "Bool", "whether the item differed from the stored one"),
    ),
    identity=("source", "message_id", "position"),
    counts=False,
    retention_days=REJECT_DAYS,
)
REJECTS: Final = Table(
    name="rejects",
    columns=(
        Column("contract", "LowCardinality(String)", "which contract refused the item"),
        Column("reason", "LowCardinality(String)", "why, from the fixed list of reasons"),
        Column("field", "LowCardinality(String)", "which field of the wire format, never its value"),
        Column("quarantined", "Bool", "whether the sender had been told that the item was accepted"),
    ),
    counts=False,
    retention_days=REJECT_DAYS,
)

# `message_id` is the time of arrival in microseconds, so `received_at` need not take any room.
_BATCH: Final = "batch UInt64 CODEC(Delta(8), ZSTD(1))"
_SPINE: Final = (
    "customer LowCardinality(String)",
    "day Date CODEC(Delta(2), ZSTD(1))",
    "message_id UInt64 CODEC(Delta(8), ZSTD(1))",
    "position UInt32 CODEC(Delta(4), ZSTD(1))",
    _BATCH,
    "received_at DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(toInt64(intDiv(message_id, 1000)), 'UTC')",
    "INDEX batch_range batch TYPE minmax GRANULARITY 1",
)
_NEAR_ARRIVAL: Final = "if(abs(toInt32(day) - toInt32(intDiv(message_id, 86400000000))) <= 400, toYYYYMM(day), 197001)"
# Random ids lie in a granule each, so small ones are read faster; the first row of each is kept in memory.
_IDENTITY_GRANULE_ROWS: Final = 256
_DURABLE: Final = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"

_BOOKKEEPING: Final = {
    "schema_versions": ("version UInt32, applied_at DateTime('UTC')", "ReplacingMergeTree", "version"),
    "rollup_days": (
        "target String, day Date, generation UInt64",
        "ReplacingMergeTree(generation)",
        "(target, day)",
    ),
    "rollup_progress": ("target String, covered UInt64", "ReplacingMergeTree(covered)", "target"),
    "retention_horizons": ("source String, deleted_before Date", "ReplacingMergeTree(deleted_before)", "source"),
}
"""Tables about the tables: columns, engine, sorting key."""


def name(identifier: str) -> str:
    """An identifier quoted for SQL."""
    return f"`{identifier.replace('`', '``')}`"


def names(identifiers: Iterable[str]) -> str:
    return ", ".join(name(identifier) for identifier in identifiers)


def key_of(table: Table) -> tuple[str, ...]:
    """The columns that identify a row for its customer."""
    return table.identity or ("message_id", "position")


def duplicate_key(table: Table) -> tuple[str, ...]:
    """The columns that two rows have in common when one is a duplicate of the other."""
    return tuple(dict.fromkeys(("customer", *(("day",) if table.identity_days else ()), *table.identity)))


def identity_columns(table: Table) -> tuple[str, ...]:
    """The columns by which duplicates and conflicts are found."""
    return tuple(dict.fromkeys((*duplicate_key(table), *((table.fingerprint,) if table.fingerprint else ()))))


def identities_of(table: Table) -> str:
    """The name of the table that remembers the identities of a table with `keep_identity`."""
    return f"{table.name}_identities"


def fact_tables(contracts: Iterable[Contract]) -> tuple[Table, ...]:
    """Every table the writer writes: the contracts' and the spine's own."""
    return (*(table for contract in contracts for table in contract.tables), DUPLICATES, REJECTS)


def migrate(session: Session, contracts: Iterable[Contract]) -> None:
    """Bring a new or older store to this code's tables.

    Raises DataDirectoryError when newer code wrote it or a column was stored with another type.
    """
    contracts = tuple(contracts)
    for table_name, (columns, engine, order) in _BOOKKEEPING.items():
        session.command(
            f"CREATE TABLE IF NOT EXISTS {table_name} ({columns}) ENGINE = {engine} ORDER BY {order} {_DURABLE}"
        )
    ((stored_version,),) = session.rows("SELECT max(version) FROM schema_versions")
    if stored_version > SCHEMA_VERSION:
        raise DataDirectoryError(
            f"the stored facts have schema version {stored_version}, this program knows {SCHEMA_VERSION}: "
            "start the newer version of raingauge"
        )
    for table in fact_tables(contracts):
        session.command(_create_table(table))
        _add_columns(session, table.name, table.columns)
        if table.keep_identity:
            session.command(_create_identities(table))
    for contract in contracts:
        for rollup in contract.rollups:
            session.command(_create_rollup(rollup))
            _add_columns(session, rollup.table, rollup.columns)
        for numbering in contract.numberings:
            session.command(_create_numbering(numbering))
    if stored_version < SCHEMA_VERSION:
        session.command(f"INSERT INTO schema_versions SELECT {SCHEMA_VERSION}, now()")


def _create_table(table: Table) -> str:
    order = list(dict.fromkeys(("customer", "day", *table.order, *key_of(table))))
    parts = ", ".join((*_SPINE, *map(_definition, table.columns), *table.indexes))
    return (
        f"CREATE TABLE IF NOT EXISTS {name(table.name)} ({parts})"
        f" ENGINE = ReplacingMergeTree PARTITION BY {_NEAR_ARRIVAL} ORDER BY ({names(order)}) {_DURABLE}"
    )


def _create_identities(table: Table) -> str:
    definitions = {column.name: _definition(column) for column in table.columns}
    spine = {"customer": _SPINE[0], "day": _SPINE[1]}
    parts = [(spine | definitions)[column] for column in identity_columns(table)]
    return (
        f"CREATE TABLE IF NOT EXISTS {name(identities_of(table))} ({', '.join(parts)}, {_BATCH})"
        f" ENGINE = ReplacingMergeTree ORDER BY ({names(duplicate_key(table))}) {_DURABLE},"
        f" index_granularity = {_IDENTITY_GRANULE_ROWS}"
    )


def _create_rollup(rollup: Rollup) -> str:
    spine = ("customer LowCardinality(String)", "day Date", "generation UInt64 CODEC(Delta(8), ZSTD(1))")
    parts = ", ".join((*spine, *map(_definition, rollup.columns)))
    order = ("customer", "day", *rollup.order)
    return (
        f"CREATE TABLE IF NOT EXISTS {name(rollup.table)} ({parts})"
        f" ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY ({names(order)}) {_DURABLE}"
    )


def _create_numbering(numbering: Numbering) -> str:
    parts = ", ".join((_SPINE[0], *map(_definition, numbering.columns)))
    return (
        f"CREATE TABLE IF NOT EXISTS {name(numbering.table)} ({parts})"
        f" ENGINE = MergeTree ORDER BY (customer, value) {_DURABLE}"
    )


def _definition(column: Column) -> str:
    return f"{name(column.name)} {column.type}" + (f" CODEC({column.codec})" if column.codec else "")


def _add_columns(session: Session, table_name: str, columns: tuple[Column, ...]) -> None:
    rows = session.rows(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}",
        {"table": table_name},
    )
    stored: dict[str, str] = dict(rows)
    for column in columns:
        if column.name not in stored:
            session.command(f"ALTER TABLE {name(table_name)} ADD COLUMN {_definition(column)}")
        elif _plain(stored[column.name]) != _plain(column.type):
            raise DataDirectoryError(
                f"{table_name}.{column.name} is stored as {stored[column.name]}, this program expects {column.type}"
            )


def _plain(type_name: str) -> str:
    return "".join(type_name.split())
