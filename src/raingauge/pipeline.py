"""From the queue to the store.

    lease ──▶ decode (worker process) ──▶ people ──▶ insert ──▶ acknowledge + accounting (one transaction)
      ▲           │ failed                              │ refused
      └── retry ──┴── after the last try: dead letter ◀─┴ (each message alone, to find the culprit)

Between insert and acknowledgement, forwards are written down and what readers have asked for lately is brought up to date.
An insert may be repeated after a crash: the writer recognises every row by its identity, so a message that was
stored but not yet acknowledged changes nothing the second time, and its rows still count as stored once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import pyarrow as pa
import structlog

from raingauge.contract import Contract, Outcome
from raingauge.control.people import People
from raingauge.decoding import Batch, Decoder
from raingauge.errors import Reason, Undecodable
from raingauge.metrics import Metrics
from raingauge.queue import Leased, Queue, Tally
from raingauge.settings import MIB
from raingauge.store.arrow import Part, build_all
from raingauge.store.schema import REJECTS
from raingauge.store.writer import InsertBatch, InsertResult, Writer

MAX_MESSAGES: Final = 2_000
MAX_BYTES: Final = 32 * MIB
"""Bodies of one batch. A row costs a fifth less to store and to merge than in half as large a batch."""
GATHER_SECONDS: Final = 0.2
"""How long a batch that is not full waits for company: an insert of one row costs nearly as much as one of a thousand."""
UNWELL_SECONDS: Final = 2.0
"""Pause before a store that refuses everything is tried again."""

log = structlog.get_logger()


class Pipeline:
    """One thread per decoder; all of them share the queue and the writer."""

    def __init__(
        self,
        *,
        queue: Queue,
        writer: Writer,
        people: People,
        decoders: Sequence[Decoder],
        contracts: Sequence[Contract],
        metrics: Metrics,
        restart_boundary: int,
        forward: Callable[[Sequence[Leased]], None] = lambda _stored: None,
        keep_up: Callable[[Mapping[str, Collection[str]]], None] = lambda _stored: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`restart_boundary` is the newest message id that an earlier process may have stored already.

        `forward` is given messages after they are stored and before the queue lets go of them, `keep_up` the customers
        of which something was stored, by table.
        """
        self._queue = queue
        self._writer = writer
        self._people = people
        self._contract_of: Mapping[str, str] = {
            table.name: contract.name for contract in contracts for table in contract.tables if table.counts
        }
        self._metrics = metrics
        self._restart_boundary = restart_boundary
        self._forward = forward
        self._keep_up = keep_up
        self._restarted: set[int] = set()
        self._clock = clock
        self._wall_clock = wall_clock
        self._stopping = threading.Event()
        self._decoders = decoders
        self._threads = [
            threading.Thread(target=self._run, args=(decoder,), name=f"pipeline-{number}", daemon=True)
            for number, decoder in enumerate(decoders)
        ]

    def start(self) -> None:
        for decoder in self._decoders:
            decoder.start()
        for thread in self._threads:
            thread.start()

    def stop(self, drain_seconds: float) -> None:
        """Store what is waiting for at most `drain_seconds`, finish the batch in hand, and end."""
        deadline = self._clock() + drain_seconds
        while self._queue.depth().messages and self._clock() < deadline:
            time.sleep(0.02)
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def _run(self, decoder: Decoder) -> None:
        while not self._stopping.is_set():
            try:
                self.step(decoder)
            except Exception:
                log.exception("a batch failed", action="pipeline.failed")
                self._stopping.wait(UNWELL_SECONDS)
        decoder.close()

    def step(self, decoder: Decoder, timeout_seconds: float = 0.5) -> int:
        """Carry one batch through, waiting for messages at most `timeout_seconds`; how many messages it had."""
        if not self._queue.wait(timeout_seconds):
            return 0
        if self._queue.depth().messages < MAX_MESSAGES:
            self._stopping.wait(GATHER_SECONDS)
        leased = self._queue.lease(MAX_MESSAGES, MAX_BYTES)
        try:
            if leased:
                self._carry(decoder, leased)
        except Exception:
            # A bug or a full disk, not the messages' fault: they are due again without having used up a try.
            again = [item.message_id for item in leased]
            self._restarted.update(again)
            self._queue.release(again)
            raise
        return len(leased)

    def _carry(self, decoder: Decoder, leased: Sequence[Leased]) -> None:
        started = self._clock()
        batch = decoder.decode(leased)
        self._metrics.decode_seconds.observe(self._clock() - started)
        for failure in batch.failed:
            self._retry(failure.message_id, failure.reason, failure.detail)
        if not batch.decoded_ids:
            return
        for customer, people in batch.people.items():
            self._people.remember(customer, people)
        try:
            result = self._insert(InsertBatch(batch.tables, self._again(leased), _rejects(batch)))
        except Undecodable as refusal:
            self._carry_alone(decoder, leased, batch, refusal)
        else:
            decoded = set(batch.decoded_ids)
            self._forward([item for item in leased if item.message_id in decoded])
            stored = {name: rows["customer"].unique().to_pylist() for name, rows in batch.tables.items()}
            self._keep_up(stored)
            self._acknowledge(batch, result)

    def _again(self, leased: Sequence[Leased]) -> frozenset[int]:
        """Messages that may be in the store already."""
        return frozenset(
            item.message_id
            for item in leased
            if item.tries or item.message_id <= self._restart_boundary or item.message_id in self._restarted
        )

    def _insert(self, batch: InsertBatch) -> InsertResult:
        """Insert, waiting as long as it takes for a store that takes nothing at all.

        Raises Undecodable when it is these rows that the store refuses.
        """
        while True:
            started = self._clock()
            try:
                return self._writer.insert(batch)
            except Undecodable:
                if self._writer.healthy() or self._stopping.is_set():
                    raise
                log.exception("the store takes no rows; trying again", action="store.unwell")
                self._stopping.wait(UNWELL_SECONDS)
            finally:
                self._metrics.insert_seconds.observe(self._clock() - started)

    def _carry_alone(self, decoder: Decoder, leased: Sequence[Leased], batch: Batch, refusal: Undecodable) -> None:
        """Each message by itself, so that only the one the store refuses is tried again."""
        if len(batch.decoded_ids) == 1:
            self._retry(batch.decoded_ids[0], refusal.reason, str(refusal))
            return
        decoded = set(batch.decoded_ids)
        for item in leased:
            if item.message_id in decoded:
                self._restarted.add(item.message_id)
                self._carry(decoder, [item])

    def _acknowledge(self, batch: Batch, result: InsertResult) -> None:
        counts: Counter[Tally] = Counter(batch.counts)
        for name, found in result.tables.items():
            if contract := self._contract_of.get(name):
                counts[Tally(contract, Outcome.STORED)] += found.stored
                counts[Tally(contract, Outcome.DUPLICATE)] += found.duplicate
                counts[Tally(contract, Outcome.DUPLICATE, "conflict")] += found.conflict
                counts[Tally(contract, Outcome.REJECTED, Reason.SERIES_LIMIT)] += found.rejected
        self._queue.acknowledge(batch.decoded_ids, +counts).result()
        self._restarted.difference_update(batch.decoded_ids)
        arrived = min(batch.decoded_ids) / 1_000_000
        self._metrics.visible_lag_seconds.observe(max(0.0, self._wall_clock() - arrived))

    def _retry(self, message_id: int, reason: Reason, detail: str) -> None:
        dead = self._queue.retry(message_id, reason, detail).result()
        log.warning("a message failed", action="message.dead" if dead else "message.retry",
                    message_id=message_id, reason=reason, detail=detail)  # fmt: skip


def _rejects(batch: Batch) -> pa.Table | None:
    """The rows of the rejects table."""
    if not batch.rejected:
        return None
    parts = [
        Part(one.customer, one.message_id, [(r.position, one.contract, r.reason, r.field, r.quarantined)])
        for one in batch.rejected
        for r in [one.reject]
    ]
    return pa.Table.from_batches([build_all(REJECTS, parts)])
