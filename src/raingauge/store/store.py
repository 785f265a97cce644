"""The opened facts: one writer, a few readers, upkeep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from raingauge.contract import Contract
from raingauge.settings import READERS, Settings
from raingauge.store import reader as reading
from raingauge.store import schema
from raingauge.store import writer as writing
from raingauge.store.client import Client, connect, is_shared
from raingauge.store.reader import Reader
from raingauge.store.writer import Writer


class TableSize(NamedTuple):
    """What a table takes on disk."""

    table: str
    rows: int
    size_bytes: int


class Store:
    """The opened facts. One per process: chDB holds one data path at a time."""

    def __init__(self, client: Client, writer: Writer, reader: Reader) -> None:
        self._client = client
        self.writer = writer
        self.reader = reader

    @classmethod
    def open(
        cls,
        settings: Settings,
        data_dir: Path,
        contracts: Iterable[Contract],
        clock: Callable[[], float] = time.time,
    ) -> Store:
        """Open or create the facts under `data_dir`, or on the server of `store_url`, and migrate them.

        `clock` gives seconds since 1970. Raises DataDirectoryError when they cannot be used.
        """
        contracts = tuple(contracts)
        client = connect(settings, data_dir, writing.SETTINGS)
        clients = [client]
        try:
            schema.migrate(client, contracts)
            bounds = reading.client_settings(settings, shared=is_shared(settings))
            clients += [connect(settings, data_dir, bounds) for _ in range(settings[READERS])]
            return cls(client, Writer(client, contracts, clock), Reader(clients[1:]))
        except BaseException:
            for opened in clients:
                opened.close()
            raise

    def system(self) -> list[TableSize]:
        """Rows and bytes of every table."""
        answer = self._client.query(
            "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table"
        )
        return [TableSize(*row) for row in answer.result_rows]

    def close(self) -> None:
        """Wait for running statements and let go of the data path."""
        self.reader.close()
        self._client.close()
