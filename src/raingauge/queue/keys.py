"""Data keys: one file each in `queue-keys/`, wrapped by the master key, gone once nothing sealed under it is left.

    made ──seals new messages (QUEUE_KEY_SECONDS at most)──▶ retired ──last message and dead letter gone──▶ destroyed

Destroying is what makes deleted bodies unreadable: the database keeps their ciphertext in free pages and in its log
until those are used again, and nobody has to find and wipe them. That is why keys are files of their own and no
table: the bytes of a file can be overwritten in place, synced and unlinked, while a table would copy each key into
pages and log frames. What a copy-on-write file system, a flash controller or a backup keeps beyond that is sealed by
the master key still.

A key is named by the first message id it may seal, so it seals the ids from its name up to the name of the next key;
"is it still needed?" is one look into the primary key. It seals in the process that made it only (see envelope.py).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raingauge.errors import DataDirectoryError
from raingauge.queue.envelope import Unreadable
from raingauge.vault import KEY_BYTES, Vault, sync_directory

DIRECTORY: Final = "queue-keys"
_SUFFIX: Final = ".key"
_END: Final = 2**63 - 1


class Keyring:
    """The data keys of one data directory. `get` is safe from any thread, the rest belongs to the writer thread."""

    def __init__(self, data_dir: Path, vault: Vault, key_seconds: float, monotonic: Callable[[], float]) -> None:
        self._directory = data_dir / DIRECTORY
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._vault = vault
        self._key_seconds = key_seconds
        self._monotonic = monotonic
        self._names = {int(path.stem) for path in self._directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal()}
        self._opened: dict[int, AESGCM] = {}
        self._sealing: int | None = None
        self._made_at = 0.0

    @property
    def last_name(self) -> int:
        """The highest name given so far; message ids must go on above it, or two keys would claim the same ids."""
        return max(self._names, default=0)

    def sealing(self, message_id: int) -> tuple[int, AESGCM]:
        """Name and key to seal this message with; a new key is on disk before it is given out."""
        if self._sealing is None or self._monotonic() - self._made_at >= self._key_seconds:
            self._make(message_id)
            self._sealing = message_id
            self._made_at = self._monotonic()
        return self._sealing, self._opened[self._sealing]

    def get(self, name: int) -> AESGCM:
        """The key of that name. Raises Unreadable when its file is missing or damaged."""
        key = self._opened.get(name)
        if key is None:
            try:
                key = AESGCM(self._vault.unwrap(self._path(name).read_bytes(), _purpose(name)))
            except (OSError, DataDirectoryError):
                raise Unreadable("its data key is missing or damaged") from None
            self._opened[name] = key
        return key

    def destroy_unused(self, used: Callable[[int, int], bool]) -> None:
        """Destroy each key for whose ids, from the first up to but without the second, `used` is False."""
        for name, end in pairwise([*sorted(self._names), _END]):
            if not used(name, end):
                self._destroy(name)

    def _path(self, name: int) -> Path:
        return self._directory / f"{name}{_SUFFIX}"

    def _make(self, name: int) -> None:
        key = secrets.token_bytes(KEY_BYTES)
        path = self._path(name)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(self._vault.wrap(key, _purpose(name)))
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self._directory)
        except OSError:
            path.unlink(missing_ok=True)  # else a full disk would collect one for every refused message
            raise
        self._names.add(name)
        self._opened[name] = AESGCM(key)

    def _destroy(self, name: int) -> None:
        path = self._path(name)
        with suppress(FileNotFoundError):
            # In place and synced first: unlinking alone would leave the bytes in blocks that are merely free.
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        sync_directory(self._directory)
        self._names.discard(name)
        self._opened.pop(name, None)
        if self._sealing == name:
            self._sealing = None


def _purpose(name: int) -> bytes:
    return b"queue-key:%d" % name
