"""The embedded queue: one SQLite file, one writer thread, group commit.

             any thread                       writer thread                                    pipeline
    append ──▶ handover (memory, bounded) ──▶ seal · INSERT · COMMIT ─▶ done()
                                                    │ synced              └─▶ fresh ──lease──▶ held
                                                    ▼                                           │
    messages   [ id │ customer, intake, … │ tries │ payload ]  ◀── note the try, COMMIT ── retry ┤
                                                    │  after the last try                       │
    dead_letters [ … │ reason, died_at ]  ◀─────────┘                                           │
    accounting   [ contract, outcome, reason → items ]  ◀── DELETE · add · COMMIT ── acknowledge┘

What always holds:
  * A message is in exactly one of: the handover, `messages`, `dead_letters`, or gone. Every move between tables, with
    what it counts, is one transaction.
  * `done(Appended)` comes after the commit is synced (WAL, synchronous = FULL); nothing else promises anything.
  * Ids ascend in the order of commits, over restarts and when the clock jumps back.
  * Fresh, held and backing off are memory (leases.py): a restart makes everything that waits due again.
  * What is deleted stays readable only as long as its data key, and a key outlives its last message by one call of
    `housekeep` (keys.py).
Synced: each commit, each key file before its first use and before it is unlinked. Not synced: the file of leases.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import msgspec
import structlog

from raingauge.edge.encoding import decompress
from raingauge.errors import DataDirectoryError, Reason, Refused
from raingauge.queue import (
    Appended,
    Counts,
    DeadLetter,
    Depth,
    Failure,
    Leased,
    Message,
    Tally,
    accounts,
    dead_letters,
    recovery,
)
from raingauge.queue.envelope import Sealer, Unreadable, unseal
from raingauge.queue.idempotency import SeenKeys
from raingauge.queue.inserts import Inserted, Inserts
from raingauge.queue.keys import Keyring
from raingauge.queue.leases import FILE as LEASES_FILE
from raingauge.queue.leases import Leases, Marker
from raingauge.queue.levels import at, contract_of
from raingauge.queue.schema import FILE, OLDEST, Row, connect, no_room, number, prepare
from raingauge.queue.writer import Checkpointer, Job, Writer, safely
from raingauge.settings import (
    BODY_MAX_DECOMPRESSED_BYTES,
    DEAD_LETTER_DAYS,
    QUEUE_KEY_SECONDS,
    QUEUE_TRIES,
    Settings,
)
from raingauge.vault import Vault

BACK_OFF_SECONDS: Final = (1.0, 5.0)
"""Waits after the first, second, … failed try; the last one is for all further ones too."""

_DAY_US: Final = 24 * 3600 * 1_000_000
_MESSAGE_OVERHEAD_BYTES: Final = 512  # so that empty bodies, too, have a weight in the handover

T = TypeVar("T")

_log = structlog.get_logger()


class SqliteQueue:
    """Implements `Queue`. Made by `open`, because a queue that did not recover must not exist."""

    def __init__(
        self,
        db: sqlite3.Connection,
        keys: Keyring,
        marker: Marker,
        path: Path,
        vault: Vault,
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        observe: Callable[[str, float], None],
    ) -> None:
        self._db = db  # the writer thread's alone, once that runs
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._sealer = Sealer()
        self._seen_keys = SeenKeys(db, vault.subkey("idempotency"))
        self._reader = connect(path)
        self._reading = Lock()
        self._closing = Lock()
        self._closed = False
        self._disk_fails = False
        suspects = recovery.suspects(db, marker.read(), now=self._now())
        self._last_id = max(number(db, "SELECT max(seq) FROM sqlite_sequence"), keys.last_name)
        self._levels = recovery.levels(db, settings)
        taken_back = recovery.taken_back(db)
        self._leases = Leases(
            connect(path),
            marker,
            monotonic,
            fresh=self._levels.depth().messages - len(taken_back.union(suspects)),
            suspects=suspects,
            taken_back=taken_back,
        )
        self._inserts = Inserts(db)
        self._writer = Writer(db, self, observe)
        self._checkpointer = Checkpointer(path, self._writer)
        self._writer.start()
        self._checkpointer.start()

    @classmethod
    def open(
        cls,
        data_dir: Path,
        vault: Vault,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Callable[[str, float], None] = lambda _name, _value: None,
    ) -> SqliteQueue:
        """The queue of a data directory, made at the first start.

        `clock` gives seconds since 1970, `monotonic` seconds that never jump. `observe` is called from the writer
        thread after each commit with `commit_seconds` and, when it held any, `commit_messages`.
        Raises DataDirectoryError, saying what to do, when its file is damaged, too new or not a queue. That nobody
        else has the directory is the caller's to know (owner.py).
        """
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = data_dir / FILE
        marker = Marker(data_dir / LEASES_FILE)
        try:
            keys = Keyring(data_dir, vault, settings[QUEUE_KEY_SECONDS], monotonic)
            prepare(path, has_keys=keys.last_name > 0)
            return cls(connect(path), keys, marker, path, vault, settings, clock, monotonic, observe)
        except (OSError, sqlite3.Error) as error:
            marker.close()
            raise DataDirectoryError(f"the queue in {data_dir} cannot be opened: {error}") from error
        except BaseException:
            marker.close()
            raise

    # ---- in ------------------------------------------------------------------------------------------------

    def full(self) -> bool:
        return self._levels.full(self._now())

    def append(self, message: Message, done: Callable[[Appended | BaseException], None]) -> None:
        size_bytes = len(message.body) + _MESSAGE_OVERHEAD_BYTES
        if not self._levels.hand_over(size_bytes, self._now()):
            done(Refused(Reason.QUEUE_FULL, "the queue is full"))
            return

        def failed(error: Exception) -> None:
            self._levels.handed_over(size_bytes)
            done(self._refusal(error))

        self._put(Job(lambda: self._insert(message, size_bytes, done), failed, size_bytes))

    def _insert(
        self, message: Message, size_bytes: int, done: Callable[[Appended | BaseException], None]
    ) -> Callable[[], None] | None:
        if message.idempotency_key and (seen := self._seen_keys.find(message, self._now())):
            accounts.add(self._db, accounts.duplicate(contract_of(message.intake)))

            def repeated() -> None:
                self._levels.handed_over(size_bytes)
                done(Appended(seen, new=False))

            return repeated

        # Also after a rollback the id is used up: it is the nonce of what may have reached the disk.
        self._last_id = message_id = max(self._last_id + 1, self._now())
        key_name, key = self._keys.sealing(message_id)
        payload = self._sealer.seal(key, message_id, message)
        row = Row(
            message_id, message.intake, message.customer, message.content_type, message.content_encoding,
            message.token_label, len(message.body), message_id, 0, "[]", key_name, payload,
        )  # fmt: skip
        self._inserts.add(Inserted(row, size_bytes, done))
        if message.idempotency_key:
            self._seen_keys.note(message, message_id)
        return None

    def write(self) -> None:
        """For the writer's thread, as the two below: the new messages of a group go into the transaction."""
        self._inserts.write()

    def committed(self) -> None:
        """They are on disk: let them be leased, and tell their senders."""
        if not (inserted := self._inserts.take()):
            return
        self._levels.arrived([(one.row.intake, len(one.row.payload)) for one in inserted])
        self._levels.handed_over(sum(one.handover_bytes for one in inserted))
        self._levels.oldest = self._levels.oldest or inserted[0].row.id
        self._disk_fails = False
        self._leases.arrived(len(inserted))
        for one in inserted:
            safely(partial(one.done, Appended(one.row.id, new=True)))

    def rolled_back(self) -> None:
        self._inserts.take()

    def _refusal(self, error: Exception) -> Exception:
        """What the sender is told: to come back later when there is no room, else the error itself."""
        if not isinstance(error, (OSError, sqlite3.Error)):
            return error
        if not self._disk_fails:
            self._disk_fails = True
            _log.error("the queue cannot write", action="queue.write_failed", error=type(error).__name__)
        return Refused(Reason.QUEUE_FULL, "the disk is full") if no_room(error) else error

    # ---- out -----------------------------------------------------------------------------------------------

    def lease(self, max_messages: int, max_bytes: int) -> list[Leased]:
        while rows := self._leases.lease(max_messages, max_bytes):
            if readable := [leased for row in rows if (leased := self._opened(row))]:
                return readable
        return []

    def wait(self, timeout_seconds: float) -> bool:
        return self._leases.wait(timeout_seconds)

    def acknowledge(self, message_ids: Sequence[int], counts: Counts) -> Future[None]:
        """On failure the messages stay leased: acknowledge them again. ValueError for one that is not leased."""

        def work() -> tuple[None, Callable[[], None]]:
            held = [self._leases.held(message_id) for message_id in message_ids]
            # One statement, for the reason given in inserts.py.
            ids = msgspec.json.encode(message_ids).decode()
            deleted = self._db.execute("DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))", (ids,))
            if message_ids and deleted.rowcount != len(message_ids):
                raise ValueError("a message is acknowledged twice")
            accounts.add(self._db, counts)
            oldest = self._oldest()

            def committed() -> None:
                self._levels.left(held)
                self._levels.oldest = oldest
                self._leases.gone(message_ids)

            return None, committed

        return self._submit(work)

    def retry(self, message_id: int, reason: Reason, detail: str) -> Future[bool]:
        return self._fail(message_id, reason, detail, self._settings[QUEUE_TRIES])

    def release(self, message_ids: Sequence[int]) -> None:
        self._leases.give_back(message_ids, BACK_OFF_SECONDS[0])

    @property
    def last_id(self) -> int:
        return self._last_id

    def _opened(self, row: Row) -> Leased | None:
        try:
            message = unseal(self._keys.get(row.key_name), row.id, row.envelope)
        except Unreadable as error:
            # Trying again cannot help, and one bad row must not hold up those behind it.
            self._fail(row.id, Reason.UNDECODABLE, str(error), tries=1)
            return None
        return Leased(row.id, message, row.tries)

    def _fail(self, message_id: int, reason: Reason, detail: str, tries: int) -> Future[bool]:
        def work() -> tuple[bool, Callable[[], None]]:
            intake, stored_bytes = self._leases.held(message_id)
            now = self._now()
            failure = Failure(at(now), reason, detail)
            tries_left = dead_letters.note_failure(self._db, message_id, failure, tries=tries, now=now)
            oldest = self._oldest()

            def committed() -> None:
                if not tries_left:
                    self._levels.left([(intake, stored_bytes)])
                    self._levels.oldest = oldest
                    self._levels.dead_letters += 1
                    self._leases.gone((message_id,))
                else:
                    step = min(tries - tries_left, len(BACK_OFF_SECONDS)) - 1
                    self._leases.back_off(message_id, BACK_OFF_SECONDS[step])

            return not tries_left, committed

        return self._submit(work)

    # ---- what is there -------------------------------------------------------------------------------------

    def depth(self) -> Depth:
        return self._levels.depth()

    def accounting(self) -> dict[Tally, int]:
        with self._reading:
            return accounts.read(self._reader)

    def drained(self, message_id: int) -> bool:
        with self._reading:
            return not number(self._reader, "SELECT EXISTS (SELECT 1 FROM messages WHERE id <= ?)", (message_id,))

    def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        with self._reading:
            return dead_letters.newest(self._reader, limit, self._settings[DEAD_LETTER_DAYS])

    def dead_letter_body(self, message_id: int) -> bytes | None:
        with self._reading:
            row = dead_letters.find(self._reader, message_id)
        if row is None:
            return None
        try:
            message = unseal(self._keys.get(row.key_name), row.id, row.envelope)
        except Unreadable:
            return None
        try:
            return decompress(message.body, message.content_encoding, self._settings[BODY_MAX_DECOMPRESSED_BYTES])
        except Refused:
            return message.body

    # ---- upkeep --------------------------------------------------------------------------------------------

    def retry_dead_letters(self, message_ids: Sequence[int] | None) -> int:
        def work() -> tuple[int, Callable[[], None]]:
            now = self._now()
            taken = dead_letters.take_back(self._db, message_ids, now)

            def committed() -> None:
                self._levels.arrived([(intake, stored_bytes) for _message_id, intake, stored_bytes in taken])
                if taken:
                    self._levels.oldest = self._levels.oldest or now
                self._levels.dead_letters -= len(taken)
                self._leases.taken_back(message_id for message_id, _intake, _size in taken)

            return len(taken), committed

        return self._submit(work).result()

    def purge_dead_letters(self, message_ids: Sequence[int] | None) -> int:
        return self._submit(lambda: self._dropped(dead_letters.purge(self._db, message_ids))).result()

    def housekeep(self) -> None:
        died_before = self._now() - int(self._settings[DEAD_LETTER_DAYS] * _DAY_US)
        self._submit(lambda: self._dropped(dead_letters.expire(self._db, died_before))).result()

        def work() -> tuple[None, Callable[[], None]]:
            self._seen_keys.forget(self._now())
            return None, lambda: self._keys.destroy_unused(self._needed)

        self._submit(work).result()

    def close(self) -> None:
        """Write what was handed over, then stop. Waiting messages stay for the next start."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._writer.stop()
        self._checkpointer.stop()
        self._leases.close()
        with self._reading:
            self._reader.close()
        with suppress(OSError, sqlite3.Error):  # a disk without room: the next start finds the log and tidies up
            self._keys.destroy_unused(self._needed)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._db.close()

    # ---- inside --------------------------------------------------------------------------------------------

    def _dropped(self, dead: int) -> tuple[int, Callable[[], None]]:
        def committed() -> None:
            self._levels.dead_letters -= dead

        return dead, committed

    def _needed(self, first_id: int, end_id: int) -> bool:
        """Whether a message or dead letter has an id from the first up to but without the second."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM messages WHERE id >= :first AND id < :end) "
            "OR EXISTS (SELECT 1 FROM dead_letters WHERE id >= :first AND id < :end)"
        )
        return bool(number(self._db, query, {"first": first_id, "end": end_id}))

    def _oldest(self) -> int | None:
        return number(self._db, OLDEST) or None

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _submit(self, work: Callable[[], tuple[T, Callable[[], None]]]) -> Future[T]:
        """Let the writer do `work`; the future has its result after the commit and after what follows it."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def run() -> Callable[[], None]:
            self._inserts.write()
            result, committed = work()

            def finish() -> None:
                try:
                    committed()
                except Exception as error:  # noqa: BLE001 - the caller waits for this future
                    future.set_exception(error)
                else:
                    future.set_result(result)

            return finish

        self._put(Job(run, future.set_exception))
        return future

    def _put(self, job: Job) -> None:
        with self._closing:
            if not self._closed:
                self._writer.put(job)
                return
        job.failed(Refused(Reason.SHUTTING_DOWN, "the server is stopping"))
