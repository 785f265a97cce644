"""Files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path


def make_private(path: Path) -> None:
    """See that a file is there and that nobody but its owner may read or write it. Raises OSError.

    One that is there is not even opened: by closing it a process loses all the locks that it holds on it, also those of
    its other descriptors (fcntl(2)). With the locks of an open SQLite database gone, the next process that closes that
    database takes itself for the last one and deletes the log that this one goes on writing into.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        path.chmod(0o600)
