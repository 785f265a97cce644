"""A process that stores messages and says so, until it is killed; then one that delivers them all again.

python crash_writer.py DATA_DIR write           prints each message's id once its insert has returned
python crash_writer.py DATA_DIR replay COUNT    delivers messages 1 to COUNT again, prints [stored, rows, distinct]
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path

import pyarrow as pa

from raingauge.contract import Column, Contract, Table
from raingauge.settings import Settings
from raingauge.store.arrow import build
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

ROWS = 20
FIRST_ID = 1_795_000_000_000_000
SPANS = Table("spans", (Column("span_id", "String", "identity"),), identity=("span_id",))
CLICKS = Table(
    "clicks",
    (Column("event_id", "String", "identity"),),
    identity=("event_id",),
    identity_days=False,
    keep_identity=True,
)
LINES = Table("lines", (Column("value", "UInt64", "a number"),))


def batch(number: int) -> InsertBatch:
    """Message `number`: some spans, as many lines, and as many clicks."""
    message_id = FIRST_ID + number
    spans = build(SPANS, "cust", message_id, [(i, f"{number}-{i}") for i in range(ROWS)])
    lines = build(LINES, "cust", message_id, [(i, number) for i in range(ROWS)])
    clicks = build(CLICKS, "cust", message_id, [(i, f"{number}-{i}") for i in range(ROWS)])
    tables = {
        name: pa.Table.from_batches([rows]) for name, rows in (("spans", spans), ("lines", lines), ("clicks", clicks))
    }
    return InsertBatch(tables, frozenset({message_id}))


def main(data_dir: str, mode: str, last: str = "0") -> None:
    store = Store.open(Settings(), Path(data_dir), (Contract("probe", "Probe", (), (SPANS, LINES, CLICKS)),))
    if mode == "write":
        for number in count(1):
            store.writer.insert(batch(number))
            print(number, flush=True)
    read = (
        "SELECT count(), uniqExact(span_id) FROM spans UNION ALL SELECT count(), uniqExact(message_id, position) FROM lines"
        " UNION ALL SELECT count(), uniqExact(event_id) FROM clicks"
    )
    before = store._look.rows(read)
    results = [store.writer.insert(batch(number)).tables for number in range(1, int(last) + 1)]
    stored = [counts.stored for tables in results for counts in tables.values()]
    print(json.dumps({"before": before, "stored": sum(stored), "after": store._look.rows(read)}))
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
