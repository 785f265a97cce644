"""Broken files: what is refused at start, with what advice, and what is survived."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raingauge.contract import Outcome, Reason
from raingauge.errors import DataDirectoryError
from raingauge.queue import Tally
from raingauge.queue.keys import DIRECTORY

if TYPE_CHECKING:
    from tests.spine.queue.conftest import Append, Bench


MIB = 1024 * 1024


def cut(size: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * size)])

    return damage


def overwrite(start: float, junk: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * start) // 4096 * 4096)
            file.write(junk)

    return damage


def become(statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        with closing(sqlite3.connect(path)) as db:
            db.executescript(statements)

    return damage


def run(statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.executescript(statements)

    return damage


@pytest.fixture
def filled(bench: Bench, append: Append) -> Path:
    """The database file of a closed queue with 200 waiting messages, large and small."""
    queue = bench.open()
    for number in range(200):
        append(queue, b"%d" % number * (10 if number % 20 else 20_000), content_encoding="gzip")
    queue.close()
    return bench.data_dir / "queue.db"


@pytest.mark.parametrize(
    ("damage", "advice"),
    [
        pytest.param(cut(0), "damaged", id="emptied"),
        pytest.param(cut(0.01), "damaged", id="cut within the first pages"),
        pytest.param(cut(0.5), "damaged", id="cut in half"),
        pytest.param(cut(0.999), "damaged", id="last page missing"),
        pytest.param(overwrite(0, b"\0" * 100), "damaged", id="header wiped"),
        pytest.param(overwrite(0, b"no database" * 1000), "damaged", id="start overwritten"),
        pytest.param(overwrite(0.1, b"\xff" * 100_000), "damaged", id="pages overwritten"),
        pytest.param(become("CREATE TABLE notes (text)"), "not a Raingauge queue", id="another program's database"),
        pytest.param(run("PRAGMA user_version = 99"), "newer Raingauge", id="written by a newer version"),
    ],
)
def test_a_file_that_cannot_be_trusted_stops_the_start(
    bench: Bench, filled: Path, damage: Callable[[Path], None], advice: str
) -> None:
    """The error says what to do, and the file is left exactly as it was."""
    damage(filled)
    before = filled.read_bytes()
    with pytest.raises(DataDirectoryError, match=advice) as refusal:
        bench.open()
    assert str(filled) in str(refusal.value)
    assert before == filled.read_bytes()


def test_a_directory_in_place_of_the_file_stops_the_start(bench: Bench) -> None:
    """Whatever is wrong with the path is told as a problem of the data directory."""
    (bench.data_dir / "queue.db").mkdir(parents=True)
    with pytest.raises(DataDirectoryError, match=r"queue\.db"):
        bench.open()


def test_the_advice_to_start_anew_works(bench: Bench, filled: Path, append: Append) -> None:
    """With the damaged file moved away the queue starts empty and ids still ascend."""
    last = max(int(path.stem) for path in (bench.data_dir / DIRECTORY).iterdir())
    filled.rename(bench.data_dir / "moved-away")
    queue = bench.open()
    assert 0 == queue.depth().messages
    assert last < append(queue).message_id


def test_a_directory_left_by_a_dead_process_is_taken_up(bench: Bench, append: Append, tmp_path: Path) -> None:
    """A copy taken while the queue was running has everything that was acknowledged, from the log alone."""
    queue = bench.open()
    sent = [append(queue, b"%d" % number).message_id for number in range(30)]
    queue.lease(10, MIB)
    queue.acknowledge(sent[:10], {Tally("otlp", Outcome.STORED): 10}).result(20)
    shutil.copytree(bench.data_dir, tmp_path / "copy")
    queue.close()
    bench.data_dir = tmp_path / "copy"
    again = bench.open()
    assert sent[10:] == [one.message_id for one in again.lease(99, MIB)]
    assert {Tally("otlp", Outcome.STORED): 10} == again.accounting()


@pytest.mark.parametrize("torn", [b"", b"\0" * 5000, b"torn" * 3000])
def test_a_torn_end_of_the_log_costs_nothing_committed(
    bench: Bench, append: Append, tmp_path: Path, torn: bytes
) -> None:
    """What a power cut leaves of an unfinished write is ignored."""
    queue = bench.open()
    sent = [append(queue).message_id for _ in range(5)]
    shutil.copytree(bench.data_dir, tmp_path / "copy")
    bench.data_dir = tmp_path / "copy"
    with (bench.data_dir / "queue.db-wal").open("ab") as log:
        log.write(torn)
    (bench.data_dir / "queue.db-shm").write_bytes(torn)
    assert sent == [one.message_id for one in bench.open().lease(99, MIB)]


@pytest.mark.parametrize("broken", ["payload", "customer", "key missing", "key damaged"])
def test_one_unreadable_message_does_not_block_the_others(bench: Bench, append: Append, broken: str) -> None:
    """It becomes a dead letter with its reason, and those around it go through."""
    queue = bench.open(queue_key_seconds=60.0)
    sent = []
    for number in range(3):
        sent.append(append(queue, b"%d" % number).message_id)
        bench.clock.advance(60)
    queue.close()
    key_file = bench.data_dir / DIRECTORY / f"{sent[1]}.key"
    if broken == "key missing":
        key_file.unlink()
    elif broken == "key damaged":
        key_file.write_bytes(key_file.read_bytes()[::-1])
    else:
        value = "x'00'" if broken == "payload" else "'cust_2'"
        run(f"UPDATE messages SET {broken} = {value} WHERE id = {sent[1]}")(bench.data_dir / "queue.db")
    queue = bench.open()
    assert [b"0", b"2"] == [one.message.body for one in queue.lease(9, MIB)]
    queue.acknowledge([sent[0], sent[2]], {}).result(20)
    [letter] = queue.dead_letters()
    assert (sent[1], [Reason.UNDECODABLE]) == (letter.message_id, [one.reason for one in letter.failures])
    assert queue.dead_letter_body(sent[1]) is None
    assert 0 == queue.depth().messages
    assert 1 == queue.accounting()[Tally("otlp", Outcome.QUARANTINED, "undecodable")]


def test_only_unreadable_messages_give_an_empty_lease(bench: Bench, append: Append) -> None:
    """A lease that finds nothing it can open returns, and the queue is empty afterwards."""
    queue = bench.open()
    for _ in range(5):
        append(queue)
    queue.close()
    shutil.rmtree(bench.data_dir / DIRECTORY)
    queue = bench.open()
    assert [] == queue.lease(2, MIB)
    assert not queue.wait(0.01)
    queue.close()
    assert (0, 5) == (queue.depth().messages, queue.depth().dead_letters)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x03", b"\0" * 8, b"\x02" + b"\0" * 7 + b"\x09" * 11])
def test_a_damaged_file_of_leases_does_no_harm(bench: Bench, append: Append, content: bytes) -> None:
    """It only ever makes the queue more careful, so nonsense in it is ignored."""
    queue = bench.open()
    sent = [append(queue).message_id for _ in range(3)]
    queue.close()
    (bench.data_dir / "queue.leases").write_bytes(content)
    assert sent == [one.message_id for one in bench.open().lease(9, MIB)]


def test_errors_name_places_and_no_content(bench: Bench, append: Append) -> None:
    """What a person reads about a dead letter quotes nothing of it."""
    queue = bench.open()
    append(queue, b"the secret")
    queue.close()
    run("UPDATE messages SET payload = x'00'")(bench.data_dir / "queue.db")
    queue = bench.open()
    queue.lease(1, MIB)
    queue.close()
    [letter] = bench.open().dead_letters()
    assert re.fullmatch(r"[a-z ]+", letter.failures[0].detail)
