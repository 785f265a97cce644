"""The one thread that writes: jobs that wait together share one transaction and so one sync.

    put ─▶ jobs ─▶ BEGIN · work of each · write · COMMIT (synced) ─▶ what each wanted done afterwards · committed
                         │ one fails
                         └─▶ ROLLBACK, then each job in a transaction of its own: only the culprit fails

`work` may therefore run twice and must change nothing but the database; what it returns runs once, after the commit.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, Protocol

import msgspec
import structlog

from raingauge.queue.schema import connect

GROUP_MAX_JOBS: Final = 1024
GROUP_MAX_BYTES: Final = 16 * 1024 * 1024
CHECKPOINT_SECONDS: Final = 1.0
LOG_LARGE_BYTES: Final = 64 * 1024 * 1024

_log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    """One thing to write. `body_bytes` is what it adds to a group."""

    work: Callable[[], Callable[[], None] | None]
    failed: Callable[[Exception], None]
    body_bytes: int = 0


class Group(Protocol):
    """What the jobs of a group have gathered to do together."""

    def write(self) -> None:
        """Before the commit."""
        ...

    def committed(self) -> None: ...
    def rolled_back(self) -> None: ...


class Writer:
    """Owns the writing connection from `start` to `stop`."""

    def __init__(self, db: sqlite3.Connection, group: Group, observe: Callable[[str, float], None]) -> None:
        self._db = db
        self._group = group
        self._observe = observe
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="queue-writer", daemon=True)
        self.commits = 0

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Job) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        """Write what was put so far, then end the thread. Nothing may be put afterwards."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            group: list[Job] = []
            size_bytes = 0
            job = self._jobs.get()
            while job is not None:
                group.append(job)
                size_bytes += job.body_bytes
                if len(group) >= GROUP_MAX_JOBS or size_bytes >= GROUP_MAX_BYTES:
                    break
                try:
                    job = self._jobs.get_nowait()
                except Empty:
                    break
            going_on = job is not None
            if group:
                self._commit(group)

    def _commit(self, group: list[Job]) -> None:
        started = time.perf_counter()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            afterwards = [job.work() for job in group]
            self._group.write()
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller of the job
            self._roll_back()
            if len(group) == 1:
                safely(partial(group[0].failed, error))
            else:
                for job in group:
                    self._commit([job])
            return
        self.commits += 1
        seconds = time.perf_counter() - started
        for step in afterwards:
            if step:
                safely(step)
        safely(self._group.committed)
        safely(partial(self._observe, "commit_seconds", seconds))
        if messages := sum(job.body_bytes > 0 for job in group):
            safely(partial(self._observe, "commit_messages", messages))

    def _roll_back(self) -> None:
        self._group.rolled_back()
        # A full disk makes SQLite roll back by itself.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def safely(step: Callable[[], None]) -> None:
    """A caller's mistake must not end the thread on which everybody's promise rests."""
    try:
        step()
    except Exception:  # noqa: BLE001 - whatever a callback raises
        _log.exception("a callback of the queue failed", action="queue.callback_failed")


class Checkpointer:
    """Moves committed pages from the log into the database file, on a thread and a connection of its own.

    Passive checkpoints wait for nobody and stop nobody. Under steady load they never find the end of the log, so one
    that has grown large is emptied with the writer held up for a moment.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="queue-checkpointer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        db = connect(self._path)
        (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
        seen = -1
        while not self._stopped.wait(CHECKPOINT_SECONDS):
            commits = self._writer.commits
            if commits == seen:
                continue
            try:
                _busy, pages, moved_pages = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if pages * page_bytes > LOG_LARGE_BYTES:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if moved_pages == pages:
                    seen = commits
            except sqlite3.Error as error:
                _log.warning("a checkpoint failed", action="queue.checkpoint_failed", error=type(error).__name__)
        db.close()
