"""The opened facts: one writer, a few readers, upkeep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from clickhouse_connect.driver.exceptions import Error

from raingauge.contract import Contract
from raingauge.errors import DataDirectoryError
from raingauge.rollup.runner import RollupRunner, load_coverage
from raingauge.rollup.windows import Windows
from raingauge.settings import READERS, Settings
from raingauge.store import reader, schema, writer
from raingauge.store.client import Session, connect, is_shared, own_temporary_files
from raingauge.store.reader import Reader
from raingauge.store.retention import Retention
from raingauge.store.writer import Writer

Clock: TypeAlias = Callable[[], datetime]


class TableSize(NamedTuple):
    """What a table takes on disk."""

    table: str
    rows: int
    size_bytes: int


class Store:
    """The opened facts. One per process: chDB holds one data path at a time."""

    def __init__(
        self,
        settings: Settings,
        contracts: Iterable[Contract],
        sessions: Sequence[Session],
        clock: Clock,
        resources: ExitStack,
    ) -> None:
        """`sessions` are for writing, upkeep, looking around and reads; `resources` closes everything."""
        contracts = tuple(contracts)
        writing, self._upkeep, self._look, *reading = sessions
        self._resources = resources
        self.writer = Writer(writing, contracts, settings, clock)
        rollups = [rollup for contract in contracts for rollup in contract.rollups]
        # Other processes may insert into a shared store.
        windows = Windows(rollups, load_coverage(writing), None if is_shared(settings) else self.writer.newest)
        self.reader = Reader(reading, windows, settings, lambda: self.writer.deletions)
        self.rollups = RollupRunner(self._upkeep, self.writer, windows, clock)
        self.retention = Retention(self._upkeep, self.writer, self.rollups, contracts, settings, clock)

    @classmethod
    def open(
        cls, settings: Settings, data_dir: Path, contracts: Iterable[Contract], clock: Clock = lambda: datetime.now(UTC)
    ) -> Store:
        """Open or create the facts under `data_dir`, or on the server of `store_url`, and migrate them.

        `clock` gives the time as an aware datetime. Raises DataDirectoryError when they cannot be used.
        """
        contracts = tuple(contracts)
        read_bounds = reader.client_settings(settings)
        write_bounds = writer.client_settings(settings)
        bounds = [write_bounds, write_bounds, write_bounds, *(read_bounds for _ in range(settings[READERS]))]
        resources = ExitStack()
        try:
            resources.enter_context(own_temporary_files(data_dir))
            sessions = [
                resources.enter_context(closing(connect(settings, data_dir, client_settings)))
                for client_settings in bounds
            ]
            schema.migrate(sessions[0], contracts)
            return cls(settings, contracts, sessions, clock, resources)
        except Error as problem:
            resources.close()
            raise DataDirectoryError(f"the facts cannot be opened: {problem}") from problem
        except BaseException:
            resources.close()
            raise

    def system(self) -> list[TableSize]:
        """Rows and bytes of every table."""
        sizes = self._look.rows(
            "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table"
        )
        return [TableSize(*row) for row in sizes]

    def healthy(self) -> bool:
        """Whether the store answers at all."""
        try:
            self._look.command("SELECT 1")
        except Error:
            return False
        return True

    def close(self) -> None:
        """Wait for running statements and let go of the data path."""
        self._resources.close()
