"""Decoding: what comes back for good, bad and poisonous messages, in this process and in worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from raingauge.contract import Outcome
from raingauge.contracts import CONTRACTS
from raingauge.decoding import InlineDecoder, WorkerDecoder, merge
from raingauge.errors import Reason
from raingauge.queue import Leased, Message, Tally
from raingauge.settings import DECODE_TIMEOUT_SECONDS, Settings

KEY = bytes(32)
ARRIVED = 1_795_245_738_000_000
LOOP = next(intake.example for c in CONTRACTS for intake in c.intakes if intake.name == "loopgain.aggregate")


def leased(number: int, body: bytes = LOOP, intake: str = "loopgain.aggregate", encoding: str = "") -> Leased:
    """A message as the queue hands it out."""
    return Leased(ARRIVED + number, Message(intake, "cust_1", body, content_encoding=encoding), 0)


@pytest.fixture
def worker() -> Iterator[WorkerDecoder]:
    """A decoder in a process of its own."""
    decoder = WorkerDecoder(Settings({"decode_timeout_seconds": 20.0}), KEY)
    yield decoder
    decoder.close()


def test_a_batch_becomes_columns_and_counts() -> None:
    """Every message gives its rows, and every item is counted as received."""
    batch = InlineDecoder(Settings(), KEY).decode([leased(1), leased(2)])
    assert batch.tables["loop_events"]["message_id"].to_pylist() == [ARRIVED + 1, ARRIVED + 2]
    assert batch.counts == {Tally("loopgain", Outcome.RECEIVED): 2}
    assert batch.failed == []


def test_an_undecodable_message_does_not_hold_up_its_neighbours() -> None:
    """A broken body, a broken encoding and an unknown intake fail; the message between them is decoded."""
    batch = InlineDecoder(Settings(), KEY).decode(
        [leased(1, b"\x00", encoding="gzip"), leased(2), leased(3, intake="gone.away"), leased(4, encoding="odd")]
    )
    assert batch.decoded_ids == [ARRIVED + 2]
    assert [failure.message_id - ARRIVED for failure in batch.failed] == [1, 3, 4]


def test_a_failure_tells_nothing_of_the_content() -> None:
    """Reasons end in logs and in the dead-letter list."""
    batch = InlineDecoder(Settings(), KEY).decode([leased(1, b"my secret prompt", encoding="gzip")])
    assert "secret" not in batch.failed[0].detail


def test_a_worker_process_gives_the_same_as_decoding_here(worker: WorkerDecoder) -> None:
    """Where decoding happens changes nothing."""
    messages = [leased(1), leased(2, b"\x00", encoding="gzip")]
    here, there = InlineDecoder(Settings(), KEY).decode(messages), worker.decode(messages)
    assert there.tables["loop_events"].equals(here.tables["loop_events"])
    assert (there.counts, there.failed) == (here.counts, here.failed)


def test_a_killed_worker_is_replaced(worker: WorkerDecoder) -> None:
    """A crash fails at most the message that was alone in the worker's hands."""
    worker.decode([leased(1)])
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert worker.decode([leased(2), leased(3)]).decoded_ids == [ARRIVED + 2, ARRIVED + 3]


def test_a_hanging_worker_is_given_up() -> None:
    """A decoder that never comes back is ended, and its message is named."""
    decoder = WorkerDecoder(Settings({DECODE_TIMEOUT_SECONDS.name: 0.2}), KEY, start_seconds=0.0)
    decoder.start()
    try:
        os.kill(decoder.pid, signal.SIGSTOP)
        batch = decoder.decode([leased(1)])
        assert [(failure.message_id, failure.reason) for failure in batch.failed] == [
            (ARRIVED + 1, Reason.DECODER_TIMEOUT)
        ]
    finally:
        decoder.close()


def test_merged_batches_hold_everything_once() -> None:
    """Messages that were tried alone are stored together."""
    decoder = InlineDecoder(Settings(), KEY)
    whole = merge([decoder.decode([leased(1)]), decoder.decode([leased(2)])])
    assert whole.tables["loop_events"].num_rows == 2
    assert whole.counts == {Tally("loopgain", Outcome.RECEIVED): 2}
