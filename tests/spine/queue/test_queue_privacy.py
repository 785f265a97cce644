"""What can and what cannot be read from the files of the queue."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from raingauge.contract import Reason
from raingauge.errors import DataDirectoryError
from raingauge.queue import Message
from raingauge.queue.envelope import Sealer, Unreadable, unseal
from raingauge.queue.keys import DIRECTORY, Keyring
from raingauge.queue.sqlite import SqliteQueue
from raingauge.vault import Vault

if TYPE_CHECKING:
    from tests.spine.queue.conftest import Append, Bench


MIB = 1024 * 1024
SECRET = b"the patient of room 12 "


def key_files(bench: Bench) -> list[Path]:
    return sorted((bench.data_dir / DIRECTORY).iterdir())


def wait_until_dead(queue: SqliteQueue, bench: Bench, message_id: int) -> None:
    dead = False
    while not dead:
        queue.lease(1, MIB)
        dead = queue.retry(message_id, Reason.UNDECODABLE, "").result(20)
        bench.clock.advance(10)


def drain(queue: SqliteQueue) -> None:
    while taken := queue.lease(100, MIB):
        queue.acknowledge([one.message_id for one in taken], {}).result(20)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_no_file_holds_a_waiting_body_in_the_clear(
    queue: SqliteQueue, bench: Bench, append: Append, encoding: str
) -> None:
    """Neither the body nor the client's idempotency key can be read from any file, in any state of the message."""
    sent = append(queue, SECRET * 3, content_encoding=encoding, idempotency_key="order-4711").message_id
    states = [bench.content()]
    wait_until_dead(queue, bench, sent)
    states.append(bench.content())
    queue.close()
    states.append(bench.content())
    assert [False] * 3 == [SECRET in state or b"order-4711" in state for state in states]


def test_every_file_belongs_to_its_owner_alone(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """No other user of the machine may read anything, whatever the umask."""
    append(queue)
    queue.lease(1, MIB)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [bench.data_dir, *bench.data_dir.rglob("*")]}
    directories = {"data", DIRECTORY}
    assert {name: 0o700 if name in directories else 0o600 for name in modes} == modes
    assert {"queue.db", "queue.db-wal", "queue.db-shm", "queue.leases", "master.key"} <= modes.keys()


def test_a_drained_key_is_destroyed(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """After drain and housekeeping no file holds the key, wrapped or not, and what was sealed stays sealed."""
    sent = append(queue, SECRET).message_id
    [key_file] = key_files(bench)
    wrapped = key_file.read_bytes()
    key = Vault.open(bench.data_dir, "").unwrap(wrapped, b"queue-key:%d" % sent)
    with closing(sqlite3.connect(bench.data_dir / "queue.db")) as db:
        (payload,) = db.execute("SELECT payload FROM messages").fetchone()
    assert SECRET == unseal(AESGCM(key), sent, Message("otlp.traces", "cust_1", payload)).body
    queue.housekeep()
    assert [key_file] == key_files(bench)
    drain(queue)
    queue.housekeep()
    left = bench.content()
    assert [] == key_files(bench)
    assert [False] * 3 == [secret in left for secret in (wrapped, key, SECRET)]
    keys = Keyring(bench.data_dir, Vault.open(bench.data_dir, ""), 3600, lambda: 0)
    with pytest.raises(Unreadable):
        keys.get(sent)


def test_a_destroyed_key_is_overwritten_before_it_is_unlinked(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """Whoever kept the file open or finds its blocks sees other bytes."""
    append(queue)
    [key_file] = key_files(bench)
    wrapped = key_file.read_bytes()
    with key_file.open("rb") as kept:
        drain(queue)
        queue.housekeep()
        assert 0 == os.fstat(kept.fileno()).st_nlink
        assert wrapped[12:] not in kept.read()


def test_a_dead_letter_keeps_its_key_alive(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """A body that may still be looked at stays readable, and its key goes when it is purged."""
    sent = append(queue, SECRET).message_id
    wait_until_dead(queue, bench, sent)
    queue.housekeep()
    assert SECRET == queue.dead_letter_body(sent)
    queue.purge_dead_letters([sent])
    queue.housekeep()
    assert [] == key_files(bench)


def test_a_key_that_somebody_removed_does_not_stop_housekeeping(
    queue: SqliteQueue, bench: Bench, append: Append
) -> None:
    """What is gone needs no destroying, and new messages get a new key."""
    append(queue)
    drain(queue)
    key_files(bench)[0].unlink()
    queue.housekeep()
    append(queue, b"next")
    assert [b"next"] == [one.message.body for one in queue.lease(9, MIB)]


def test_keys_rotate_and_go_one_by_one(bench: Bench, append: Append) -> None:
    """After the set time a new key seals, and each goes as soon as its own messages are gone."""
    queue = bench.open(queue_key_seconds=60.0)
    first = append(queue, b"1").message_id
    bench.clock.advance(59)
    append(queue, b"2")
    assert 1 == len(key_files(bench))
    bench.clock.advance(1)
    append(queue, b"3")
    queue.housekeep()
    assert 2 == len(key_files(bench))
    taken = queue.lease(2, MIB)
    queue.acknowledge([one.message_id for one in taken], {}).result(20)
    queue.housekeep()
    assert 1 == len(key_files(bench))
    assert first not in [int(path.stem) for path in key_files(bench)]
    assert [b"3"] == [one.message.body for one in queue.lease(9, MIB)]


def test_each_process_seals_with_a_key_of_its_own(queue: SqliteQueue, bench: Bench, append: Append) -> None:
    """Message ids are nonces, so a key is never used by two processes."""
    append(queue, b"1")
    queue.close()
    queue = bench.open()
    append(queue, b"2")
    assert 2 == len(key_files(bench))
    assert [b"1", b"2"] == [one.message.body for one in queue.lease(9, MIB)]


def test_a_clock_set_back_over_a_restart_does_not_confuse_the_keys(
    queue: SqliteQueue, bench: Bench, append: Append
) -> None:
    """A key destroyed for being drained never is one that a waiting message needs."""
    append(queue, b"1")
    queue.close()
    bench.clock.now -= 3600
    queue = bench.open()
    append(queue, b"2")
    queue.lease(1, MIB)
    queue.acknowledge([int(key_files(bench)[0].stem)], {}).result(20)
    queue.housekeep()
    assert [b"2"] == [one.message.body for one in queue.lease(9, MIB)]


@pytest.mark.parametrize("column", ["customer", "intake", "content_type", "content_encoding", "token_label"])
def test_a_payload_belongs_to_its_row(column: str) -> None:
    """Whoever moves a payload to another customer, intake or row cannot make us decode it there."""
    key = AESGCM(AESGCM.generate_key(256))
    columns = {
        "intake": "otlp.traces",
        "customer": "cust_1",
        "content_type": "",
        "content_encoding": "",
        "token_label": "",
    }
    payload = Sealer().seal(key, 7, Message(body=SECRET, **columns))
    assert SECRET == unseal(key, 7, Message(body=payload, **columns)).body
    with pytest.raises(Unreadable):
        unseal(key, 8, Message(body=payload, **columns))
    with pytest.raises(Unreadable):
        unseal(key, 7, Message(body=payload, **{**columns, column: "other"}))


def test_another_master_key_stops_the_start(queue: SqliteQueue, bench: Bench) -> None:
    """It is told at once, not found out when nothing can be decoded."""
    queue.close()
    with pytest.raises(DataDirectoryError, match="not the master key"):
        Vault.open(bench.data_dir, "A" * 43 + "=")
