"""Reads of facts: a small pool of sessions, each statement bounded in time, rows and memory.

Results travel as JSON and are decoded by msgspec straight into the caller's Struct: both ends do that in C, which
beats turning columns into Python objects first (measured: 50,000 rows).
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from raingauge.contract import KeptT, Parts
from raingauge.errors import QueryError, Reason
from raingauge.rollup.windows import Windows
from raingauge.settings import (
    QUERY_MAX_ROWS,
    QUERY_MEMORY_BYTES,
    QUERY_REMEMBERED_BYTES,
    QUERY_SUMS_MAX_ROWS,
    QUERY_TIMEOUT_SECONDS,
    Settings,
)
from raingauge.store.client import ClientSettings, Session, is_shared
from raingauge.store.newer import Newer
from raingauge.store.remembered import Remembered

RowT = TypeVar("RowT")

OWN_CUSTOMER: Final = "{customer:String}"

_SHORT: Final = "optimize_move_to_prewhere = 0"
"""Reading few rows in two steps takes longer to plan than the second step saves: 3 of 20 ms."""

# TIMEOUT_EXCEEDED, TOO_MANY_ROWS, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES, QUERY_WAS_CANCELLED
_LIMIT_CODES: Final = frozenset({158, 159, 160, 241, 307, 394, 396})


def client_settings(settings: Settings) -> ClientSettings:
    """What every read is bound to."""
    bounds: ClientSettings = {
        "max_execution_time": settings[QUERY_TIMEOUT_SECONDS],
        "max_result_rows": settings[QUERY_MAX_ROWS],
        "result_overflow_mode": "throw",
        "max_memory_usage": settings[QUERY_MEMORY_BYTES],
        "max_threads": 2,
        "use_uncompressed_cache": 0,
        "log_queries": 0,
        "date_time_output_format": "iso",
        "output_format_json_quote_64bit_integers": 0,
        "session_timezone": "UTC",
        "readonly": 2,
    }
    # Another process may have inserted the same item at the same moment, before either could see the other's.
    return {**bounds, "final": 1} if is_shared(settings) else bounds


class _Statistics(msgspec.Struct):
    rows_read: int = 0


class _Result(msgspec.Struct, Generic[RowT]):
    data: list[RowT]
    statistics: _Statistics = msgspec.field(default_factory=_Statistics)


class _Minute(msgspec.Struct):
    at: int
    messages: int


class Rows(NamedTuple, Generic[RowT]):
    """The answer to one read and how many stored rows were looked at for it."""

    rows: list[RowT]
    rows_read: int


class Reader:
    """Safe to call from any thread; as many reads run at once as there are sessions, the others wait.

    `deletions` gives a number that changes when rows have been deleted.
    """

    def __init__(
        self, sessions: Sequence[Session], windows: Windows, settings: Settings, deletions: Callable[[], int]
    ) -> None:
        self._windows = windows
        self._deletions = deletions
        self._remembered = Remembered(settings[QUERY_REMEMBERED_BYTES])
        self.newer = Newer(windows, self.looked_up, self._remembered, deletions)
        self._sums_max_rows = settings[QUERY_SUMS_MAX_ROWS]
        self._idle: queue.LifoQueue[Session] = queue.LifoQueue()
        for session in sessions:
            self._idle.put(session)

    def rows(self, sql: str, parameters: Mapping[str, object], row: type[RowT]) -> Rows[RowT]:
        """Run a SELECT of one customer's rows; each result row becomes a `row`, matched by column name.

        Raises QueryError: QUERY_LIMIT when it needs more time, rows or memory than allowed, else INTERNAL.
        """
        answer = self._answer(sql, parameters, "JSON")
        try:
            result = msgspec.json.decode(answer, type=_Result[row])  # type: ignore[valid-type]
        except msgspec.DecodeError as problem:
            raise QueryError(f"unexpected result: {problem}") from problem
        return Rows(result.data, result.statistics.rows_read)

    def columns(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Like `rows`, for results of many rows that go on being computed with.

        Reads only what `rolled` and `parts` name: as their texts change with what is stored, a result can be kept.
        """
        key = self._key(sql, parameters)
        if (known := self._recalled(key)) is None:
            known = self.looked_up(sql, parameters)
            self._remembered.put(key, known)
        return known

    def looked_up(self, sql: str, parameters: Mapping[str, object], wait: bool = True) -> pa.Table:
        """The same without remembering it. Without waiting, QueryError is raised too when all readers are busy."""
        bounded = f"{sql} SETTINGS max_result_rows = {self._sums_max_rows}, {_SHORT}"
        return pa.ipc.open_stream(self._answer(bounded, _named(sql, parameters), "ArrowStream", wait)).read_all()

    def derived(
        self,
        statements: Mapping[str, str],
        parameters: Mapping[str, object],
        make: Callable[[dict[str, pa.Table]], KeptT],
        name: Hashable,
    ) -> KeptT:
        """See `contract.Facts.derived`."""
        key = (name, tuple(self._key(sql, parameters) for sql in statements.values()))
        known: KeptT | None = self._recalled(key)
        if known is None:
            known = make({each: self.looked_up(sql, parameters) for each, sql in statements.items()})
            self._remembered.put(key, known)
        return known

    def _key(self, sql: str, parameters: Mapping[str, object]) -> Hashable:
        return sql, repr(sorted(_named(sql, parameters).items())), self._deletions()

    def _recalled(self, key: Hashable) -> Any:
        return self._remembered.get(key) if self._windows.are_fixed else None

    def _answer(self, sql: str, parameters: Mapping[str, object], output_format: str, wait: bool = True) -> bytes:
        if OWN_CUSTOMER not in sql or not parameters.get("customer"):
            raise QueryError("a read must be restricted to its customer")
        try:
            session = self._idle.get(wait)
        except queue.Empty:
            raise QueryError("all readers are busy") from None
        try:
            return session.text(sql, {key: _bound(value) for key, value in parameters.items()}, output_format)
        except Error as problem:
            raise _query_error(problem) from problem
        finally:
            self._idle.put(session)

    def received_by_minute(self, table: str, customer: str, since: datetime) -> list[tuple[float, int]]:
        """Messages of a customer that arrived since then: (seconds since 1970 of the minute, messages), in order."""
        sql = f"""
            SELECT toUnixTimestamp(toStartOfMinute(received_at)) AS at, uniqExact(message_id) AS messages
            FROM {table} WHERE customer = {OWN_CUSTOMER} AND received_at >= {{since:DateTime64(6)}}
            GROUP BY at ORDER BY at
        """
        found = self.rows(sql, {"customer": customer, "since": since}, _Minute).rows
        return [(minute.at, minute.messages) for minute in found]

    def rolled(self, table: str) -> str:
        """A subquery of a rollup and whatever is newer, see `contract.Facts.rolled`; use it in a read at once."""
        return self._windows.rolled(table)

    def parts(self, table: str) -> Parts:
        """The two parts of `rolled`, see `contract.Facts.parts`; use them in a read at once."""
        return self._windows.parts(table)


def _named(sql: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters that a statement uses."""
    return {name: value for name, value in parameters.items() if f"{{{name}:" in sql}


def _bound(value: object) -> object:
    """Times as text with all their digits: the client would cut a datetime to whole seconds."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_bound(item) for item in value]
    return value


def _query_error(problem: Error) -> QueryError:
    code = problem.code if isinstance(problem, DatabaseError) else None
    if code in _LIMIT_CODES:
        return QueryError("the read needs more time, rows or memory than allowed", Reason.QUERY_LIMIT)
    return QueryError(f"the store could not answer: {getattr(problem, 'name', None) or type(problem).__name__}")
