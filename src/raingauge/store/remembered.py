"""Results of reads, kept for whoever asks the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Remembered:
    """Results that hold as long as their key does; those that were not asked for longest go first.

    A result is anything with `nbytes`, see `contract.Kept`. Safe to use from any thread.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._results: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Any:
        """The result, or None."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def put(self, key: Hashable, result: Any) -> None:
        """Keep it, in the place of what was kept under this key."""
        with self._lock:
            if known := self._results.pop(key, None):
                self._bytes -= known.nbytes
            if result.nbytes <= self._limit_bytes:
                self._results[key] = result
                self._bytes += result.nbytes
            while self._bytes > self._limit_bytes:
                self._bytes -= self._results.popitem(last=False)[1].nbytes
