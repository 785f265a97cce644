"""The queue's database file: its tables, how it is opened, and what is refused at start."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from raingauge.errors import DataDirectoryError
from raingauge.files import make_private
from raingauge.queue import Message

FILE: Final = "queue.db"
VERSION: Final = 1
APPLICATION_ID: Final = 0x5261696E  # "Rain"
BUSY_SECONDS: Final = 30.0

_COLUMNS: Final = """
    intake TEXT NOT NULL,
    customer TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_encoding TEXT NOT NULL,
    token_label TEXT NOT NULL,
    body_bytes INTEGER NOT NULL,     -- of the body as it came
    waiting_since INTEGER NOT NULL,  -- microseconds since 1970: the id, or when it was taken back from the dead letters
    tries INTEGER NOT NULL,          -- failed ones, since then
    failures TEXT NOT NULL,          -- all there ever were, JSON
    key_name INTEGER NOT NULL,
    payload BLOB NOT NULL            -- see envelope.py"""

# AUTOINCREMENT keeps the highest id ever used, so ids ascend over restarts even when the table is empty.
_TABLES: Final = f"""
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,{_COLUMNS}
);
CREATE INDEX messages_waiting_since ON messages (waiting_since);

CREATE TABLE dead_letters (
    died_at INTEGER NOT NULL,        -- microseconds since 1970
    reason TEXT NOT NULL,            -- what it was counted under
    id INTEGER PRIMARY KEY,{_COLUMNS}
);

CREATE TABLE idempotency (
    key_hash BLOB PRIMARY KEY,       -- of customer, intake and key
    message_id INTEGER NOT NULL      -- which is also when it was seen
) WITHOUT ROWID;
CREATE INDEX idempotency_message_id ON idempotency (message_id);

CREATE TABLE accounting (
    contract TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    items INTEGER NOT NULL,
    PRIMARY KEY (contract, outcome, reason)
) WITHOUT ROWID;
"""

COLUMNS: Final = (
    "id, intake, customer, content_type, content_encoding, token_label, body_bytes, waiting_since, tries, failures, "
    "key_name, payload"
)
"""All columns of a message, in the order of `Row` and in both tables."""


OLDEST: Final = "SELECT min(waiting_since) FROM messages"


class Row(NamedTuple):
    """One waiting message or dead letter as it lies in its table."""

    id: int
    intake: str
    customer: str
    content_type: str
    content_encoding: str
    token_label: str
    body_bytes: int
    waiting_since: int
    tries: int
    failures: str
    key_name: int
    payload: bytes

    @property
    def envelope(self) -> Message:
        """The message with the sealed payload in place of its body."""
        return Message(
            intake=self.intake,
            customer=self.customer,
            body=self.payload,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            token_label=self.token_label,
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be used from several threads, one at a time; it commits only when told to."""
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # FULL: a commit returns after the log is synced. Checkpoints have a thread of their own. Deleted payloads need no
    # wiping, their key is destroyed; the few plain columns are wiped where that costs no extra page.
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = FAST;"
    )
    return db


def prepare(path: Path, *, has_keys: bool) -> None:
    """Create the file (0600) and its tables, or see that an existing one is whole and ours.

    `has_keys` says that data keys exist: then an empty file is one that lost its content, not a first start.
    Raises DataDirectoryError for a file that is damaged, too new or something else. Nothing is ever deleted.
    """
    try:
        if has_keys and path.exists() and path.stat().st_size == 0:
            raise _damaged(path, "it is empty, but keys of messages exist")
        # The log and its index take their permissions from the database file.
        make_private(path)
        # Not `connect`: that would already write into a file that is not ours.
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            _check_or_create(db, path)
    except (OSError, sqlite3.OperationalError) as error:
        raise DataDirectoryError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _check_or_create(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (version, application_id, objects) == (0, 0, 0):
        db.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )
        return
    if application_id != APPLICATION_ID:
        raise DataDirectoryError(f"{path} is not a Raingauge queue: move it away or choose another data directory")
    if version > VERSION:
        raise DataDirectoryError(
            f"{path} was written by a newer Raingauge (queue version {version}, this one knows {VERSION}): "
            "install that version again, or restore a backup made before the upgrade"
        )
    (finding,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise _damaged(path, finding)


def _damaged(path: Path, finding: str) -> DataDirectoryError:
    return DataDirectoryError(
        f"{path} is damaged ({finding}). Nothing was deleted. Restore it from a backup, or save what is readable with "
        f"`sqlite3 {path} .recover`, or move {path}, {path.name}-wal and {path.name}-shm away to start with an empty "
        "queue: messages that wait in it are then lost, stored facts are not."
    )


def number(db: sqlite3.Connection, query: str, values: Sequence[object] | dict[str, object] = ()) -> int:
    """The single number of a query's answer, 0 for NULL."""
    (answer,) = db.execute(query, values).fetchone()
    return answer or 0


def no_room(error: Exception) -> bool:
    """Whether the disk, a quota or a size limit has no room left."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    # SQLite says "full" only for ENOSPC; a quota or a file size limit is a failed write to it.
    code = getattr(error, "sqlite_errorcode", None)
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
