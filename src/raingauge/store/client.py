"""Connections to the facts: chDB in this process, or a ClickHouse server, behind one client class.

chDB holds one data path per process; any number of clients may share it. Its own defaults (90 % of the machine's
memory, caches of several GiB) are for a server that owns its machine, so the options below make it small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client as Client  # noqa: PLC0414 - the one name other files use
from clickhouse_connect.driver.exceptions import Error

from raingauge.errors import DataDirectoryError
from raingauge.settings import MIB, STORE_MEMORY_BYTES, STORE_URL, Settings

ClientSettings: TypeAlias = dict[str, str | int | float]

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


def connect(settings: Settings, data_dir: Path, client_settings: ClientSettings) -> Client:
    """A new client. `client_settings` are ClickHouse settings that hold for all its statements.

    Raises DataDirectoryError when the store cannot be opened.
    """
    url = settings[STORE_URL]
    try:
        if is_shared(settings):
            return clickhouse_connect.get_client(dsn=url, settings=client_settings)
        path = urlsplit(url).path if url else str(data_dir / "facts")
        options = {**_SMALL_MACHINE, "max_server_memory_usage": settings[STORE_MEMORY_BYTES]}
        return clickhouse_connect.get_client(
            interface="chdb", path=path, settings=client_settings, chdb_options=options
        )
    except Error as problem:
        raise DataDirectoryError(f"the facts cannot be opened: {problem}") from problem
