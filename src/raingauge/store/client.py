"""Connections to the facts: chDB in this process, or a ClickHouse server, behind one client class.

chDB holds one data path per process; any number of clients may share it. Its own defaults (90 % of the machine's
memory, caches of several GiB) are for a server that owns its machine, so the options below make it small.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError

from raingauge.settings import MIB, STORE_MEMORY_BYTES, STORE_URL, Settings

ClientSettings: TypeAlias = dict[str, str | int | float]
Parameters: TypeAlias = Mapping[str, object]

_CACHE_BYTES: Final = 32 * MIB
_SMALL_MACHINE: Final = {
    "mark_cache_size": _CACHE_BYTES,
    "index_mark_cache_size": _CACHE_BYTES // 4,
    "primary_index_cache_size": _CACHE_BYTES,
    "uncompressed_cache_size": 0,
    "query_condition_cache_size": _CACHE_BYTES // 4,
    "compiled_expression_cache_size": _CACHE_BYTES // 4,
    "background_schedule_pool_initial_size": 2,
    "max_active_parts_loading_thread_pool_size": 4,
    "max_outdated_parts_loading_thread_pool_size": 2,
    "max_parts_cleaning_thread_pool_size": 4,
}
"""Server settings of the embedded engine, given as options of its connection string."""


def is_shared(settings: Settings) -> bool:
    """Whether the facts live on a server that other processes may write to as well."""
    return urlsplit(settings[STORE_URL]).scheme in {"http", "https"}


class Session:
    """A client that is replaced after every error. Safe to use from any thread, one statement at a time.

    chDB keeps what a failed statement had already written to its answer and puts it in front of the next one's, so
    a client that has seen an error must not be asked again: the answer could hold rows of somebody else's read.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Client | None = connect()
        self._closed = False

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement that has no result."""
        with self._healthy() as client:
            client.command(sql, parameters=dict(parameters or {}))

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Run a SELECT of a few rows."""
        with self._healthy() as client:
            return [tuple(row) for row in client.query(sql, parameters=dict(parameters or {})).result_rows]

    def text(self, sql: str, parameters: Parameters, output_format: str) -> bytes:
        """Run a SELECT, giving the result in a text format of ClickHouse."""
        with self._healthy() as client:
            return client.raw_query(sql, parameters=dict(parameters), fmt=output_format)

    def delete(self, table: str, condition: str, parameters: Parameters) -> int:
        """Delete the rows of a table, given as SQL names it, for which a condition holds; how many there were.

        Without any the table is left alone: rewriting it takes most of a second.
        """
        ((count,),) = self.rows(f"SELECT count() FROM {table} WHERE {condition}", parameters)
        if count:
            self.command(f"ALTER TABLE {table} DELETE WHERE {condition}", parameters)
        return int(count)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows to the columns of the same names."""
        with self._healthy() as client:
            client.insert_arrow(table, rows)

    def close(self) -> None:
        """Wait for a running statement, then let go; later statements raise. Does nothing the second time."""
        with self._lock:
            self._closed = True
            self._drop()

    @contextmanager
    def _healthy(self) -> Iterator[Client]:
        with self._lock:
            if self._closed:
                raise ProgrammingError("the store has been closed")
            self._client = self._client or self._connect()
            try:
                yield self._client
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


@contextmanager
def own_temporary_files(data_dir: Path) -> Iterator[None]:
    """Keep this process's temporary files inside the data directory, and remove what a crash left there.

    The embedded engine takes inserted rows from a temporary file, and rows must not lie about elsewhere.
    """
    directory = data_dir / "tmp"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    before, tempfile.tempdir = tempfile.tempdir, str(directory)
    try:
        yield
    finally:
        tempfile.tempdir = before


def connect(settings: Settings, data_dir: Path, client_settings: ClientSettings) -> Session:
    """A new session. `client_settings` are ClickHouse settings that hold for all its statements.

    Raises clickhouse_connect's Error when the store cannot be opened.
    """
    return Session(lambda: _client(settings, data_dir, client_settings))


def _client(settings: Settings, data_dir: Path, client_settings: ClientSettings) -> Client:
    url = settings[STORE_URL]
    if is_shared(settings):
        return clickhouse_connect.get_client(dsn=url, settings=client_settings)
    path = urlsplit(url).path if url else str(data_dir / "facts")
    options = {**_SMALL_MACHINE, "max_server_memory_usage": settings[STORE_MEMORY_BYTES]}
    return clickhouse_connect.get_client(interface="chdb", path=path, settings=client_settings, chdb_options=options)
