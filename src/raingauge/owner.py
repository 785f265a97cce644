"""One owner per data directory: a lock that the kernel gives back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from raingauge.errors import DataDirectoryError

LOCK_NAME: Final = "owner.lock"
WAIT_SECONDS: Final = 3.0
"""A server that is restarted may find the lock still held by the one that is just going away."""


class Owner:
    """Holds the lock from construction to `close`. Raises DataDirectoryError naming the present owner."""

    def __init__(self, data_dir: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_seconds
        while not self._taken():
            if time.monotonic() >= deadline:
                holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(self._file)
                raise DataDirectoryError(
                    f"{data_dir}: in use by process {holder}; stop it or choose another --data-dir"
                )
            time.sleep(0.05)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder(data_dir: Path) -> int | None:
    """The process that owns a data directory at the moment, or None."""
    try:
        with (data_dir / LOCK_NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int((data_dir / LOCK_NAME).read_text() or 0)
    return None
