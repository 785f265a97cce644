"""What a span costs at least on this machine: CPU of single steps by themselves, in one process, with all caches warm.

Two cores have 2,000,000 µs a second, so a rate leaves so many µs per span for all steps together, the sender's included.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.bench.otlp_load import BODIES, JSON, PROTOBUF, body, placeholder, trace_id
from tests.bench.report import Report, Spread

from raingauge.contract import Received
from raingauge.contracts import CONTRACTS
from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.wire.messages import TracesRequest
from raingauge.decoding import NEW_OBJECTS, ROWS_MAX
from raingauge.settings import CORE_KNOBS, load
from raingauge.store.arrow import Part, build_all
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

ROUNDS: Final = 9
INSERTS: Final = 10
SPANS: Final = 100
"""Per body."""
MERGED_SECONDS: Final = 3.0
"""How long the store gets to merge what was inserted."""

_INTAKE: Final = next(one for one in OTLP.intakes if one.name == "otlp.traces")
_TABLE: Final = next(table for table in OTLP.tables if table.name == "spans")


def cpu_us(step: Callable[[Any], object], given: Iterable[Any], spans: int) -> Spread:
    """CPU of a step over everything given, per span, in rounds."""
    given = list(given)
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for one in given:
            step(one)
        rounds.append(1e6 * (time.process_time() - began) / spans)
    return Spread.of(rounds)


def received(message_id: int, media_type: str) -> Received:
    return Received(message_id, "cust_0123456789abcdef", media_type, identity_key=bytes(32))


def parts_of(first_id: int) -> list[Part]:
    """As many spans as the decoder makes columns of at once, each with ids of its own."""
    bodies = [body(JSON, SPANS, variant, time.time_ns()) for variant in range(BODIES)]
    parts = []
    for message_id in range(first_id, first_id + ROWS_MAX // SPANS):
        one = bodies[message_id % BODIES].replace(placeholder(JSON), trace_id(JSON))
        rows = _INTAKE.decode(one, received(message_id, JSON)).rows["spans"]
        parts.append(Part("cust_0123456789abcdef", message_id, rows))
    return parts


def columns(parts: Sequence[Part]) -> pa.Table:
    return pa.Table.from_batches([build_all(_TABLE, parts)])


def stored_us(scratch: Path) -> float:
    """CPU that the store takes per span for finished columns, merges included."""
    data_dir = scratch / "least"
    data_dir.mkdir()
    now = int(time.time() * 1e6)
    tables = [columns(parts_of(now + number * ROWS_MAX)) for number in range(INSERTS)]
    with closing(Store.open(load(CORE_KNOBS, environment={}), data_dir, CONTRACTS)) as store:
        store.writer.insert(InsertBatch({_TABLE.name: tables[0]}))
        began = time.process_time()
        for table in tables[1:]:
            store.writer.insert(InsertBatch({_TABLE.name: table}))
        time.sleep(MERGED_SECONDS)
        return 1e6 * (time.process_time() - began) / (ROWS_MAX * (INSERTS - 1))


def least(report: Report, mark: int) -> None:
    """A table of the steps. `mark` is in spans per second."""
    gc.set_threshold(NEW_OBJECTS)
    rows: list[tuple[object, ...]] = []
    for media_type, parse in (
        (JSON, msgspec.json.Decoder(TracesRequest).decode),
        (PROTOBUF, ExportTraceServiceRequest.FromString),
    ):
        bodies = [body(media_type, SPANS, variant, time.time_ns()) for variant in range(BODIES)]
        name, spans = media_type.rpartition("/")[2], BODIES * SPANS
        pairs = [(one, received(int(time.time() * 1e6), media_type)) for one in bodies]
        rows.append((f"{name}: parsed, nothing read", cpu_us(parse, bodies, spans)))
        rows.append((f"{name}: decoded to rows", cpu_us(lambda pair: _INTAKE.decode(*pair), pairs, spans)))
    rows.append(("rows made into columns", cpu_us(columns, [parts_of(1)], ROWS_MAX)))
    rows.append(("stored as finished columns", f"{stored_us(report.scratch):.3g}"))
    rows.append((f"all there is at {mark:,} spans/s", f"{1e6 * (os.cpu_count() or 1) / mark:.3g}"))
    report.table("Agents: what a span costs at least", __doc__.partition("\n")[0], ("step", "CPU µs per span"), rows)
