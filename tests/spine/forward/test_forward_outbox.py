"""What waits to be passed on: kept, bounded, sealed, counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.spine.forward.conftest import Clock, leased

from raingauge.errors import DataDirectoryError
from raingauge.forward.outbox import Outbox, Settled

Open = Callable[..., Outbox]


def taken(outbox: Outbox) -> list[int]:
    """Message ids of everything that is due, in the order in which it is given out."""
    found = []
    while waiting := outbox.take(0):
        found.append(waiting.message_id)
    return found


def test_what_was_put_is_there_after_a_restart(open_outbox: Open) -> None:
    """Oldest first, byte for byte, with the encoding it came in, also when it was in somebody's hands."""
    outbox = open_outbox()
    outbox.put([leased(1, b"one"), leased(2, b"two", encoding="")])
    assert outbox.take(0) is not None
    again = open_outbox()
    first, second = again.take(0), again.take(0)
    assert first is not None
    assert second is not None
    assert (leased(1, b"one").message, leased(2, b"two", encoding="").message) == (first.message, second.message)
    assert again.take(0) is None


def test_putting_a_message_again_changes_nothing(open_outbox: Open) -> None:
    """A crash between the outbox and the queue makes the pipeline put its batch once more."""
    outbox = open_outbox()
    outbox.put([leased(1), leased(2)])
    outbox.put([leased(2), leased(3)])
    assert (3, 3 * len(leased(1).message.body + bytes(20))) == (outbox.level().messages, outbox.level().size_bytes)
    assert [1, 2, 3] == taken(outbox)


def test_the_oldest_make_room_and_are_counted(open_outbox: Open) -> None:
    """The bound holds whatever comes, and nothing goes without a count, over restarts too."""
    outbox = open_outbox(max_bytes=1_000)
    for number in range(10):
        outbox.put([leased(number + 1, bytes(280))])
    outbox = open_outbox(max_bytes=1_000)
    assert outbox.level().size_bytes <= 1_000
    assert 7 == outbox.level().settled[Settled.DROPPED]
    assert [8, 9, 10] == taken(outbox)


def test_a_message_larger_than_the_bound_is_dropped(open_outbox: Open) -> None:
    """It does not stay, and it does not block."""
    outbox = open_outbox(max_bytes=1_000)
    outbox.put([leased(1, bytes(2_000))])
    assert (0, 0, 1) == (outbox.level().messages, outbox.level().size_bytes, outbox.level().settled[Settled.DROPPED])


def test_what_waits_too_long_expires(open_outbox: Open, clock: Clock) -> None:
    """After the longest age it is deleted and counted; younger ones stay."""
    outbox = open_outbox(max_age_seconds=60)
    outbox.put([leased(1)])
    clock.now += 50
    outbox.put([leased(2)])
    clock.now += 20
    outbox.housekeep()
    assert (1, 1) == (outbox.level().messages, outbox.level().settled[Settled.EXPIRED])
    assert [2] == taken(outbox)


def test_a_failed_delivery_is_due_again_later(open_outbox: Open, clock: Clock) -> None:
    """Not before its time, and meanwhile others are."""
    outbox = open_outbox()
    outbox.put([leased(1), leased(2)])
    waiting = outbox.take(0)
    assert waiting is not None
    outbox.later(waiting, 30)
    assert [2] == taken(outbox)
    clock.now += 31
    assert [1] == taken(outbox)


def test_keys_are_destroyed_once_nothing_waits_under_them(open_outbox: Open, tmp_path: Path) -> None:
    """What was delivered cannot be read any more, even from pages that SQLite has not overwritten."""
    outbox = open_outbox()
    outbox.put([leased(1, b"something personal")])
    keys = list(tmp_path.rglob("*.key"))
    assert 1 == len(keys)
    outbox.housekeep()
    assert keys[0].exists()
    waiting = outbox.take(0)
    assert waiting is not None
    outbox.settle(waiting, Settled.DELIVERED)
    outbox.housekeep()
    assert [] == list(tmp_path.rglob("*.key"))
    assert all(b"something personal" not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_message_whose_key_is_gone_is_counted_and_skipped(open_outbox: Open, tmp_path: Path) -> None:
    """One unreadable row does not hold up those behind it."""
    outbox = open_outbox()
    outbox.put([leased(1)])
    [key] = tmp_path.rglob("*.key")
    outbox = open_outbox()
    outbox.put([leased(2)])
    key.unlink()
    assert [2] == taken(outbox)
    assert 1 == outbox.level().settled[Settled.UNREADABLE]


def test_erasing_a_customer_leaves_the_others(open_outbox: Open) -> None:
    """A deleted customer's messages are not passed on any more."""
    outbox = open_outbox()
    outbox.put([leased(1, customer="cust_1"), leased(2, customer="cust_2")])
    outbox.erase("cust_1")
    assert [2] == taken(outbox)


def test_a_damaged_file_stops_the_start(open_outbox: Open, tmp_path: Path) -> None:
    """Nothing is deleted on its own account."""
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / "outbox.db").write_bytes(b"no database" * 100)
    with pytest.raises(DataDirectoryError, match=r"outbox\.db cannot be opened"):
        open_outbox()
