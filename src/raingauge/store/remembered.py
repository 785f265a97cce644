"""Results of reads, kept for whoever asks the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import pyarrow as pa


class Remembered:
    """Results that hold as long as their key does; those that were not asked for longest go first.

    Safe to use from any thread.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._tables: OrderedDict[Hashable, pa.Table] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> pa.Table | None:
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
            return self._tables.get(key)

    def put(self, key: Hashable, table: pa.Table) -> None:
        with self._lock:
            if key not in self._tables and table.nbytes <= self._limit_bytes:
                self._tables[key] = table
                self._bytes += table.nbytes
            while self._bytes > self._limit_bytes:
                self._bytes -= self._tables.popitem(last=False)[1].nbytes
