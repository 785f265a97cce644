"""Facts for every test: one embedded engine per test process, emptied before each use.

chDB holds one data path per process and keeps some threads of each engine it has started, so the tests of a process
share one path. A test that needs a second process (a crash, another path) starts one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import pytest

from raingauge.contract import Contract, Decoded, Reject
from raingauge.settings import Settings
from raingauge.store import client, schema
from raingauge.store.arrow import build
from raingauge.store.reader import Rows
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch, InsertResult

RowT = TypeVar("RowT")
SETTINGS = Settings()
CUSTOMER = "cust_0123456789abcdef"
ARRIVAL = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""The time of the test's clock and of the first message, unless a test says otherwise."""


class OpenStore(Protocol):
    def __call__(self, *contracts: Contract, settings: Settings = ..., clock: Callable[[], datetime] = ...) -> Store:
        """Open the facts with these contracts; what was stored earlier in the same test is still there."""
        ...


@pytest.fixture(scope="session")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory whose engine stays up, since starting one takes a while and never gives everything back."""
    data_dir = tmp_path_factory.mktemp("engine")
    with closing(client.connect(Settings(), data_dir, {})):
        yield data_dir


@pytest.fixture
def data_dir(_engine: Path) -> Path:
    """An empty data directory for the facts; the only one this process can open."""
    with closing(client.connect(Settings(), _engine, {})) as emptier:
        tables = emptier.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")
        for (table,) in tables:
            emptier.command(f"DROP TABLE {schema.name(table)} SYNC")
    return _engine


@pytest.fixture
def open_store(data_dir: Path) -> Iterator[OpenStore]:
    """Opens the facts, again and again if wanted; everything is closed when the test ends."""
    with ExitStack() as opened:

        def open_(
            *contracts: Contract, settings: Settings = SETTINGS, clock: Callable[[], datetime] = lambda: ARRIVAL
        ) -> Store:
            return opened.enter_context(closing(Store.open(settings, data_dir, contracts, clock)))

        yield open_


class StoredFacts:
    """Puts decoded messages into the store as the pipeline does, and reads them back as a handler does."""

    def __init__(self, store: Store, contracts: Sequence[Contract]) -> None:
        self.store = store
        self._contracts = {table.name: contract for contract in contracts for table in contract.tables}
        self._tables = {table.name: table for contract in contracts for table in contract.tables}
        self._next_message_id = int(ARRIVAL.timestamp() * 1_000_000)

    def insert(self, decoded: Decoded, *, customer: str = CUSTOMER, message_id: int | None = None) -> InsertResult:
        """Store one message. The same `message_id` twice is a redelivery."""
        redelivered = frozenset() if message_id is None else frozenset({message_id})
        if message_id is None:
            message_id = self._next_message_id
            self._next_message_id += 1
        tables = {
            name: pa.Table.from_batches([build(self._tables[name], customer, message_id, rows)])
            for name, rows in decoded.rows.items()
        }
        rejects = _rejects(next(iter(self._contracts.values())).name, customer, message_id, decoded.rejects)
        return self.store.writer.insert(InsertBatch(tables, redelivered, rejects))

    def rows(self, sql: str, row: type[RowT], *, customer: str = CUSTOMER, **parameters: Any) -> list[RowT]:
        """Run a read of one customer."""
        return self.read(sql, row, customer=customer, **parameters).rows

    def read(self, sql: str, row: type[RowT], *, customer: str = CUSTOMER, **parameters: Any) -> Rows[RowT]:
        """Like `rows`, with the number of stored rows that were looked at."""
        bound: Mapping[str, Any] = {**parameters, "customer": customer}
        return self.store.reader.rows(sql, bound, row)

    def rolled(self, table: str) -> str:
        return self.store.reader.rolled(table)


class StoreFacts(Protocol):
    def __call__(self, *contracts: Contract, clock: Callable[[], datetime] = ...) -> StoredFacts: ...


@pytest.fixture
def stored_facts(open_store: OpenStore) -> StoreFacts:
    """A function that opens facts with the tables of the contracts it is given."""

    def open_(*contracts: Contract, clock: Callable[[], datetime] = lambda: ARRIVAL) -> StoredFacts:
        return StoredFacts(open_store(*contracts, clock=clock), contracts)

    return open_


def _rejects(contract: str, customer: str, message_id: int, rejects: Sequence[Reject]) -> pa.Table | None:
    if not rejects:
        return None
    rows = [(r.position, contract, str(r.reason), r.field, r.quarantined) for r in rejects]
    return pa.Table.from_batches([build(schema.REJECTS, customer, message_id, rows)])
