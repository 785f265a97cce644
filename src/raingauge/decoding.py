"""From queued messages to Arrow, in this process or in worker processes.

    pipeline thread ── Task[] ──pipe──▶ worker: undo the encoding, Intake.decode, columns ──▶ Batch (Arrow IPC)

A worker that dies or takes too long is replaced, and its tasks come back as failures: the caller then tries each
message alone, so one poisonous message cannot hold up its neighbours.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import msgspec
import pyarrow as pa

from raingauge.contract import Decoded, Outcome, Person, Reason, Received, Reject, Table, Undecodable
from raingauge.edge.encoding import decompress
from raingauge.queue import Leased, Tally
from raingauge.settings import BODY_MAX_DECOMPRESSED_BYTES, DECODE_TIMEOUT_SECONDS, DECODE_WORKERS, Settings
from raingauge.store.arrow import Part, build_all

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from raingauge.contract import Intake


ROWS_MAX: Final = 20_000
"""Rows that wait as tuples before they become columns: columns are made faster for many, and tuples are large."""

NEW_OBJECTS: Final = 1_000_000
"""How many objects a worker may have made before cycles are looked for. A batch makes some hundred thousand and gives
all of them back: looking for them finds nothing and costs up to an eighth of its time."""

START_SECONDS: Final = 30.0
"""What a first batch may wait on top of its decode time for the process to start."""


class Failed(NamedTuple):
    """A message that gave no rows. `detail` names a place, never content."""

    message_id: int
    reason: Reason
    detail: str


class Rejected(NamedTuple):
    """A reject with what the rejects table says of it besides."""

    customer: str
    contract: str
    message_id: int
    reject: Reject


@dataclass(slots=True)
class Batch:
    """What a group of messages became: one Arrow table per fact table, and everything that is not a row."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    decoded_ids: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    people: dict[str, list[Person]] = field(default_factory=dict)
    counts: Counter[Tally] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)


class _Done(NamedTuple):
    contract: str
    received: Received
    decoded: Decoded


class Decoder(Protocol):
    def start(self) -> None:
        """Get ready without waiting for it."""
        ...

    def decode(self, leased: Sequence[Leased]) -> Batch:
        """Never raises for bad messages: those come back in `failed`."""
        ...

    def close(self) -> None: ...


class InlineDecoder:
    """Decodes in the calling thread."""

    def __init__(self, settings: Settings, identity_key: bytes) -> None:
        # Imported here so that a worker process reads the contracts in its own interpreter, and to keep the spine
        # free of any contract but this list.
        from raingauge.contracts import CONTRACTS  # noqa: PLC0415

        self._settings = settings
        self._identity_key = identity_key
        self._intakes: Mapping[str, Intake] = {intake.name: intake for c in CONTRACTS for intake in c.intakes}
        self._tables: Mapping[str, Table] = {table.name: table for c in CONTRACTS for table in c.tables}

    def start(self) -> None:
        """Nothing to start."""

    def decode(self, leased: Sequence[Leased]) -> Batch:
        batch = Batch()
        parts: dict[str, list[pa.RecordBatch]] = {}
        waiting: list[_Done] = []
        rows = 0
        for item in leased:
            try:
                done = self._decode_one(item)
            except Exception as error:  # noqa: BLE001 - a decoder must not take its neighbours along
                batch.failed.append(_failed(item.message_id, error))
                continue
            waiting.append(done)
            rows += sum(map(len, done.decoded.rows.values()))
            if rows >= ROWS_MAX:
                self._build(batch, parts, waiting)
                waiting, rows = [], 0
        self._build(batch, parts, waiting)
        batch.tables = {name: pa.Table.from_batches(batches) for name, batches in parts.items()}
        return batch

    def close(self) -> None:
        """Nothing to stop."""

    def _decode_one(self, item: Leased) -> _Done:
        message = item.message
        intake = self._intakes.get(message.intake)
        if intake is None:
            raise Undecodable("no contract of this version reads this intake")
        body = decompress(message.body, message.content_encoding, self._settings[BODY_MAX_DECOMPRESSED_BYTES])
        received = Received(
            item.message_id,
            message.customer,
            message.content_type,
            message.token_label,
            message.idempotency_key,
            self._identity_key,
            self._settings,
        )
        decoded = intake.decode(body, received)
        counted = sum(len(rows) for name, rows in decoded.rows.items() if self._tables[name].counts)
        if decoded.items != counted + len(decoded.rejects):
            raise Undecodable("the decoder lost count of its items")
        return _Done(item.message.intake.partition(".")[0], received, decoded)

    def _build(self, batch: Batch, parts: dict[str, list[pa.RecordBatch]], waiting: Sequence[_Done]) -> None:
        """Make columns of many messages at once; of each alone when they do not all fit, to find those that do not."""
        try:
            built = self._columns(waiting)
        except Exception as error:  # noqa: BLE001 - as above
            if len(waiting) == 1:
                batch.failed.append(_failed(waiting[0].received.message_id, error))
            else:
                for done in waiting:
                    self._build(batch, parts, [done])
            return
        for name, part in built.items():
            parts.setdefault(name, []).append(part)
        for done in waiting:
            _count(batch, done)

    def _columns(self, waiting: Sequence[_Done]) -> dict[str, pa.RecordBatch]:
        found: dict[str, list[Part]] = {}
        for done in waiting:
            for name, rows in done.decoded.rows.items():
                if rows:
                    found.setdefault(name, []).append(Part(done.received.customer, done.received.message_id, rows))
        return {name: build_all(self._tables[name], parts) for name, parts in found.items()}


def _failed(message_id: int, error: Exception) -> Failed:
    if isinstance(error, Undecodable):
        return Failed(message_id, error.reason, str(error))
    return Failed(message_id, Reason.UNDECODABLE, _place(error))


def _count(batch: Batch, one: _Done) -> None:
    batch.decoded_ids.append(one.received.message_id)
    batch.counts[Tally(one.contract, Outcome.RECEIVED)] += one.decoded.items
    for reject in one.decoded.rejects:
        outcome = Outcome.QUARANTINED if reject.quarantined else Outcome.REJECTED
        batch.counts[Tally(one.contract, outcome, reject.reason)] += 1
        batch.rejected.append(Rejected(one.received.customer, one.contract, one.received.message_id, reject))
    if one.decoded.people:
        batch.people.setdefault(one.received.customer, []).extend(one.decoded.people)


def _place(error: BaseException) -> str:
    """Type and line of an unexpected error: its text could repeat what a client sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"


class WorkerDecoder:
    """Decodes in one worker process of its own; used by one thread at a time.

    The process starts with the first batch and again after it died. It ends when this end of the pipe closes,
    so it never outlives the server.
    """

    def __init__(self, settings: Settings, identity_key: bytes, start_seconds: float = START_SECONDS) -> None:
        self._settings = settings
        self._identity_key = identity_key
        self._timeout_seconds = settings[DECODE_TIMEOUT_SECONDS] + start_seconds
        self._context = multiprocessing.get_context("spawn")
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int:
        """The process, or 0 before it was started."""
        return (self._process.pid or 0) if self._process is not None else 0

    def start(self) -> None:
        """Start the process without waiting for it."""
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_work, args=(theirs, self._settings, self._identity_key), name="raingauge-decoder", daemon=True
        )
        self._process.start()
        theirs.close()

    def decode(self, leased: Sequence[Leased]) -> Batch:
        if self._process is None or not self._process.is_alive():
            self.close()
            self.start()
        if self._pipe is None:  # pragma: no cover - start() has just set it
            raise RuntimeError("no worker")
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(leased))
            if not self._pipe.poll(self._timeout_seconds):
                return self._lost(leased, Reason.DECODER_TIMEOUT)
            return cast("Batch", self._pipe.recv())
        except (EOFError, OSError):
            return self._lost(leased, Reason.DECODER_CRASHED)

    def _lost(self, leased: Sequence[Leased], reason: Reason) -> Batch:
        """Give up the process; a batch of one names its culprit, a larger one is tried message by message."""
        self.close()
        if len(leased) > 1:
            return merge([self.decode([item]) for item in leased])
        return Batch(failed=[Failed(leased[0].message_id, reason, "the decoding process was lost")])

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._pipe = self._process = None


# Six times as fast as pickling: objects with slots are pickled by Python code.
_LEASED: Final = msgspec.msgpack.Decoder(list[Leased])


def _work(pipe: Connection, settings: Settings, identity_key: bytes) -> None:
    """The worker process: batches in, batches out, until the pipe closes."""
    # A Ctrl-C in the terminal reaches the whole group, but only the server decides when decoding ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    decoder = InlineDecoder(settings, identity_key)
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    while True:
        try:
            pipe.send(decoder.decode(_LEASED.decode(pipe.recv_bytes())))
        except (EOFError, BrokenPipeError):
            return


def merge(batches: Sequence[Batch]) -> Batch:
    """One batch with everything of all."""
    whole = Batch()
    tables: dict[str, list[pa.Table]] = {}
    for batch in batches:
        for name, table in batch.tables.items():
            tables.setdefault(name, []).append(table)
        whole.decoded_ids += batch.decoded_ids
        whole.rejected += batch.rejected
        whole.failed += batch.failed
        whole.counts.update(batch.counts)
        for customer, people in batch.people.items():
            whole.people.setdefault(customer, []).extend(people)
    whole.tables = {name: pa.concat_tables(parts) for name, parts in tables.items()}
    return whole


def open_decoder(settings: Settings, identity_key: bytes) -> Decoder:
    """A decoder for one pipeline thread, as the setting says."""
    kind = WorkerDecoder if settings[DECODE_WORKERS] else InlineDecoder
    return kind(settings, identity_key)
