"""The only writer of facts. What it returned from is on disk and counted once, however often it is sent again.

For each table of a batch:

    rows ──stage keys──▶ lookup ──▶ new: inserted, first in order wins
                                    same (message_id, position): this message came before, counted as stored
                                    other (message_id, position): a duplicate, or a conflict if fingerprints differ
                              └──▶ over the customer's limit of series: rejected, see store/series.py

Nothing but keys is staged, the lookup returns only what is already stored (usually nothing), and rows are sent
once. A crash between two tables heals itself when the message is delivered again.

Measured on two shared cores: spans, looked up within their own day, 76,000 rows/s in batches of 5,000 and 137,000 in
batches of 20,000. Random ids looked up on all days of 10 million rows cost one scan of the id column, 0.2 s of CPU per
batch whatever its size; where identities are kept they are sorted by id, and 20 ids cost 0.03 s, 5,000 ids 0.1 s. Tried
for that case and left out: IN over a tuple of columns (0.8 s), joining without IN (0.2 to 0.3 s), Bloom-filter indexes
(5,000 random ids pass most granules).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.exceptions import Error

from raingauge.contract import Contract, Table
from raingauge.errors import Reason, Undecodable
from raingauge.settings import Settings
from raingauge.store import schema
from raingauge.store.arrow import Part, build_all, schema_of
from raingauge.store.client import ClientSettings, Session, is_shared
from raingauge.store.identities import Identities
from raingauge.store.series import SeriesLimits

_SETTINGS: Final[ClientSettings] = {
    "async_insert": 0,
    "max_threads": 2,
    "max_insert_threads": 1,
    "max_partitions_per_insert_block": 0,
    "mutations_sync": 2,
    "log_queries": 0,
    "session_timezone": "UTC",
    "enable_join_runtime_filters": 0,  # a second pass over the same few staged keys
}


def client_settings(settings: Settings) -> ClientSettings:
    """What every insert, deletion and summing up is bound to."""
    return {**_SETTINGS, "final": 1} if is_shared(settings) else _SETTINGS


class TableCounts(NamedTuple):
    """What became of a table's rows in one insert. A conflict is a duplicate that differs from the stored row.

    `rejected` are the rows that were over their customer's limit of series.
    """

    stored: int
    duplicate: int
    conflict: int
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class InsertBatch:
    """Rows of many messages, possibly of several customers.

    `tables` maps table names to Arrow tables as `arrow.build` makes them; the order of rows decides which of two
    equal items is kept. `redelivered` are ids of messages that may have been inserted before. `rejects` is built
    like a table of facts, for `schema.REJECTS`.
    """

    tables: Mapping[str, pa.Table]
    redelivered: frozenset[int] = frozenset()
    rejects: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class InsertResult:
    """The number of the insert and what became of the rows of each table."""

    batch: int
    tables: dict[str, TableCounts] = field(default_factory=dict)


class _Known(NamedTuple):
    """The stored row that has a staged row's identity."""

    message_id: int
    position: int
    differs: bool


class _Sorted(NamedTuple):
    """Indexes of rows to insert, how many came before, (index, conflict) of duplicates, indexes of rejected rows."""

    new: list[int]
    replayed: int
    duplicates: list[tuple[int, bool]]
    rejected: Sequence[int] = ()


class Writer:
    """Inserts and erases facts. Safe to call from any thread; calls run one after the other.

    `upkeep` is held by whoever deletes facts or sums them up, so that the two never overlap; inserts do not need it.
    `deletions` is raised after rows were deleted.
    """

    def __init__(
        self, session: Session, contracts: Iterable[Contract], settings: Settings, clock: Callable[[], datetime]
    ) -> None:
        contracts = tuple(contracts)
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self.upkeep = threading.Lock()
        self.deletions = 0
        self._tables = {table.name: table for table in schema.fact_tables(contracts)}
        self._contract_of = {table.name: contract.name for contract in contracts for table in contract.tables}
        self._series = SeriesLimits(session, settings)
        self._rollups = [rollup for contract in contracts for rollup in contract.rollups]
        self._newest: dict[str, int] = dict(session.rows(_newest_of(self._tables)))
        self._last_batch = self._highest_number()
        self._identities = {
            table.name: Identities(session, table, self._last_batch)
            for table in self._tables.values()
            if table.keep_identity
        }
        for table in self._tables.values():
            if table.identity:
                session.command(_create_staging(table))

    def insert(self, batch: InsertBatch) -> InsertResult:
        """Store what is new and count the rest. On return everything is synced to disk.

        Raises Undecodable (STORE_REFUSED) when the store refuses a row: nothing of that table was stored.
        """
        with self._lock:
            number = self._next_number()
            result = InsertResult(number)
            noted: list[pa.Table] = []
            rejects = [] if batch.rejects is None else [batch.rejects]
            for name, rows in batch.tables.items():
                table = self._tables[name]
                found = self._insert_new(table, rows, number, batch.redelivered)
                conflicts = sum(conflict for _, conflict in found.duplicates)
                result.tables[name] = TableCounts(
                    len(found.new) + found.replayed, len(found.duplicates) - conflicts, conflicts, len(found.rejected)
                )
                if table.counts and found.duplicates:
                    noted.append(_notes(table, rows, found.duplicates))
                if found.rejected:
                    rejects.append(_rejects(self._contract_of[name], rows, found.rejected))
            if noted:
                self._insert_new(schema.DUPLICATES, pa.concat_tables(noted), number, batch.redelivered)
            if rejects:
                self._insert_new(schema.REJECTS, pa.concat_tables(rejects), number, batch.redelivered)
            return result

    def healthy(self) -> bool:
        """Whether the store takes rows at all: it answers, and its disk is neither full nor read-only."""
        try:
            self._session.command(f"INSERT INTO schema_versions SELECT {schema.SCHEMA_VERSION}, now()")
        except Error:
            return False
        return True

    def newest(self, table: str) -> int:
        """Number of the last insert that can have stored rows of this table."""
        return self._newest[table]

    def barrier(self) -> int:
        """A number above every finished insert's and below every later one's."""
        with self._lock:
            return self._next_number()

    def erase(self, table: str, customer: str, people: Sequence[str] = ()) -> int:
        """Delete a customer's rows of a table, and what was summed up from them; how many rows there were.

        With `people`, only what is about these keyed hashes, in a table that has a column for them.
        """
        with self.upkeep, self._lock:
            parameters: dict[str, object] = {"customer": customer, "people": list(people)}
            person = self._tables[table].person
            condition = "customer = {customer:String}"
            if people:
                condition += f" AND {schema.name(person)} IN {{people:Array(String)}}"
            count = self._session.delete(schema.name(table), condition, parameters)
            if count:
                self._series.forget()
            if not people and (kept := self._identities.get(table)):
                kept.forget(customer)
            for rollup in self._rollups:
                if rollup.source == table and (not people or any(one.name == person for one in rollup.columns)):
                    self._session.delete(schema.name(rollup.table), condition, parameters)
                    for numbering in () if people else rollup.numberings:
                        self._session.delete(schema.name(numbering.table), condition, parameters)
            self.deletions += 1
            return count

    def _next_number(self) -> int:
        self._last_batch = max(self._last_batch + 1, int(self._clock().timestamp() * 1_000_000))
        return self._last_batch

    def _highest_number(self) -> int:
        numbers = ["SELECT max(generation) AS number FROM rollup_days", "SELECT max(covered) FROM rollup_progress"]
        numbers += [f"SELECT max(generation) FROM {schema.name(rollup.table)}" for rollup in self._rollups]
        numbers += [
            f"SELECT max(batch) FROM {schema.name(schema.identities_of(table))}"
            for table in self._tables.values()
            if table.keep_identity
        ]
        ((highest,),) = self._session.rows(f"SELECT max(number) FROM ({' UNION ALL '.join(numbers)})")
        return max(int(highest), *self._newest.values())

    def _insert_new(self, table: Table, rows: pa.Table, number: int, redelivered: frozenset[int]) -> _Sorted:
        try:
            known = self._known(table, rows, redelivered)
            rejected = frozenset(self._series.over(table, rows, known))
            found = _sort(table, rows, known, rejected)
            new = rows if len(found.new) == rows.num_rows else rows.take(pa.array(found.new, pa.int64()))
            if new.num_rows:
                kept = self._identities.get(table.name)
                if kept:
                    kept.storing(number)
                new = new.append_column("batch", pa.repeat(pa.scalar(number, pa.uint64()), new.num_rows))
                try:
                    self._session.insert(table.name, new)
                finally:
                    self._newest[table.name] = number
                if kept:
                    kept.catch_up()
        except Error as problem:
            self._series.forget()
            raise Undecodable(f"{table.name}: {problem.name or 'refused'}", Reason.STORE_REFUSED) from problem
        return found

    def _known(self, table: Table, rows: pa.Table, redelivered: frozenset[int]) -> dict[int, _Known]:
        """For each row's index whose identity is stored: which row has it."""
        if not table.identity:
            return self._known_messages(table, rows, redelivered)
        if kept := self._identities.get(table.name):
            kept.catch_up()
        keys = schema.duplicate_key(table)
        staged = rows.select([*schema.identity_columns(table)])
        staged = staged.append_column("row", pa.array(range(rows.num_rows), pa.uint32()))
        staging = schema.name(f"staging_{table.name}")
        self._session.command(f"TRUNCATE TABLE {staging}")
        self._session.insert(f"staging_{table.name}", staged)
        print_name = schema.name(table.fingerprint)
        differs = f"f.{print_name} != s.{print_name}" if table.fingerprint else "false"
        # Kept identities do not say whose row they are: a message that comes again is known by its rows instead.
        source, place = (kept.name, ()) if kept else (schema.name(table.name), ("message_id", "position"))
        columns = schema.names(dict.fromkeys((*schema.identity_columns(table), *place)))
        # One IN per column: each narrows the primary key or the scan by itself, four times as fast as a tuple.
        filters = " AND ".join(
            f"{schema.name(key)} IN (SELECT {schema.name(key)} FROM {staging})" for key in keys if key != "customer"
        )
        found = self._session.rows(
            f"SELECT s.row, {schema.names(place) or '0, 0'}, {differs} FROM (SELECT {columns} FROM {source}"
            f" WHERE customer IN {{customers:Array(String)}} AND {filters}) AS f"
            f" INNER JOIN {staging} AS s USING ({schema.names(keys)})",
            {"customers": rows["customer"].unique().to_pylist()},
        )
        again = self._known_messages(table, rows, redelivered) if kept else {}
        return {row: _Known(*known) for row, *known in found} | again

    def _known_messages(self, table: Table, rows: pa.Table, redelivered: frozenset[int]) -> dict[int, _Known]:
        messages = rows["message_id"].to_pylist()
        if not (again := redelivered.intersection(messages)):
            return {}
        found = self._session.rows(
            f"SELECT message_id, position FROM {schema.name(table.name)} WHERE customer IN {{customers:Array(String)}}"
            " AND day IN {days:Array(Date)} AND message_id IN {messages:Array(UInt64)}",
            {
                "customers": rows["customer"].unique().to_pylist(),
                "days": rows["day"].unique().to_pylist(),
                "messages": sorted(again),
            },
        )
        stored = set(found)
        pairs = zip(messages, rows["position"].to_pylist(), strict=True)
        return {row: _Known(*pair, False) for row, pair in enumerate(pairs) if pair in stored}


def _newest_of(tables: Iterable[str]) -> str:
    return " UNION ALL ".join(f"SELECT '{table}', max(batch) FROM {schema.name(table)}" for table in tables)


def _create_staging(table: Table) -> str:
    return (
        f"CREATE OR REPLACE TABLE {schema.name(f'staging_{table.name}')} ENGINE = Memory AS"
        f" SELECT {schema.names(schema.identity_columns(table))}, toUInt32(0) AS row FROM {schema.name(table.name)} LIMIT 0"
    )


def _sort(table: Table, rows: pa.Table, known: dict[int, _Known], rejected: frozenset[int]) -> _Sorted:
    keys = [*schema.duplicate_key(table)] if table.identity else ["customer", "message_id", "position"]
    if not known and not rejected and rows.group_by(keys).aggregate([]).num_rows == rows.num_rows:
        return _Sorted(list(range(rows.num_rows)), 0, [])
    found = _Sorted([], 0, [], sorted(rejected))
    replayed = 0
    first: dict[tuple[Any, ...], tuple[int, int, Any]] = {}
    prints = rows[table.fingerprint].to_pylist() if table.fingerprint else [None] * rows.num_rows
    messages, positions = rows["message_id"].to_pylist(), rows["position"].to_pylist()
    for row, key in enumerate(zip(*(rows[name].to_pylist() for name in keys), strict=True)):
        if row in rejected:
            continue
        own = (messages[row], positions[row])
        if stored := known.get(row):
            if (stored.message_id, stored.position) == own:
                replayed += 1
            else:
                found.duplicates.append((row, bool(stored.differs)))
        elif (earlier := first.get(key)) is None:
            first[key] = (*own, prints[row])
            found.new.append(row)
        elif earlier[:2] == own:
            replayed += 1
        else:
            found.duplicates.append((row, earlier[2] != prints[row]))
    return found._replace(replayed=replayed)


def _notes(table: Table, rows: pa.Table, duplicates: Sequence[tuple[int, bool]]) -> pa.Table:
    """Rows for the table of duplicates."""
    taken = rows.take(pa.array([row for row, _ in duplicates], pa.int64()))
    count = taken.num_rows
    label = taken[table.duplicate_label].cast(pa.string()) if table.duplicate_label else pa.repeat("", count)
    arrays = [
        *(taken[name] for name in ("customer", "day", "message_id", "position")),
        pa.repeat(table.name, count),
        label,
        pa.array([conflict for _, conflict in duplicates]),
    ]
    return pa.Table.from_arrays(arrays, schema=schema_of(schema.DUPLICATES))


def _rejects(contract: str, rows: pa.Table, rejected: Sequence[int]) -> pa.Table:
    """Rows for the table of rejects: the senders had been told that these were accepted, and they are sound."""
    taken = rows.take(pa.array(rejected, pa.int64())).select(["customer", "message_id", "position"])
    parts = [
        Part(line["customer"], line["message_id"], [(line["position"], contract, Reason.SERIES_LIMIT, "", False)])
        for line in taken.to_pylist()
    ]
    return pa.Table.from_batches([build_all(schema.REJECTS, parts)])
