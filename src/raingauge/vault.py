"""The master key: one secret of the installation, from which every other key is derived or under which it is wrapped.

It comes from the setting `master_key` or from the file `master.key` in the data directory. `master.check` keeps a
fingerprint of it, because with another master key people would hash differently and queued bodies stay sealed: that
has to stop the start, not to surface later as numbers that do not add up.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from raingauge.errors import DataDirectoryError, SettingError
from raingauge.settings import MASTER_KEY

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_FILE: Final = "master.key"
CHECK_FILE: Final = "master.check"


class Vault:
    """Derives and wraps keys. Safe to use from any thread."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key
        self._wrapping = AESGCM(self.subkey("wrap"))

    @classmethod
    def open(cls, data_dir: Path, master_key_text: str) -> Vault:
        """The vault of a data directory, which is created (0700) when it does not exist.

        `master_key_text` is the setting: 32 bytes in base64, or empty for the key in the directory, which is made on
        the first start. Raises SettingError for a text that is no key, DataDirectoryError when the key is not the one
        this directory was made with, is lost, or can be read by other users of the machine.
        """
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        given = _parsed(master_key_text) if master_key_text else None
        vault = cls(given or _kept(data_dir))
        fingerprint = vault.subkey("check").hex().encode()
        if not hmac.compare_digest(fingerprint, _created_or_read(data_dir / CHECK_FILE, fingerprint)):
            source = MASTER_KEY.env if given else str(data_dir / KEY_FILE)
            raise DataDirectoryError(
                f"{source} is not the master key that {data_dir} was made with. Give the right one: "
                "without it neither the waiting messages nor the names of people can be read."
            )
        return vault

    def subkey(self, purpose: str) -> bytes:
        """32 secret bytes for one purpose, the same at every start (HKDF-SHA256, RFC 5869)."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"raingauge:" + purpose.encode()).derive(self._master_key)

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        """`key` encrypted for keeping on disk; `aad` says what it is for and must be given again to `unwrap`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """What was given to `wrap`. Raises DataDirectoryError when the bytes or the `aad` were changed."""
        try:
            return self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise DataDirectoryError(f"the wrapped key for {aad.decode()} is damaged") from None


def _parsed(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingError(
            f"{MASTER_KEY.env}: expected {KEY_BYTES} bytes in base64 (make one: openssl rand -base64 32)"
        )
    return key


def _kept(data_dir: Path) -> bytes:
    path = data_dir / KEY_FILE
    if not path.exists() and (data_dir / CHECK_FILE).exists():
        raise DataDirectoryError(
            f"{path} is missing. Restore it from a backup or give the key as {MASTER_KEY.env}: "
            "a new key could not read what is stored here."
        )
    text = _created_or_read(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise DataDirectoryError(f"{path} can be read by other users of this machine: run chmod 600 {path}")
    try:
        return _parsed(text.decode())
    except (SettingError, UnicodeDecodeError):
        raise DataDirectoryError(f"{path} is damaged: it must hold {KEY_BYTES} bytes in base64") from None


def _created_or_read(path: Path, content: bytes) -> bytes:
    """Make the file, or give what stands in it. Atomic: two processes that start together agree on one content."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(path.parent)
    return path.read_bytes().strip()


def sync_directory(path: Path) -> None:
    """Make created, renamed and removed names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
