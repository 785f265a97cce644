"""How fast the reads are and how much room an event takes: `python bench_product_events.py DIRECTORY [EVENTS]`.

Fills an empty directory with made-up events of 200,000 installations over 90 days, written by the store itself in the
shape of real turns (ten events each, two turns in a session), sums them up as the server does, and prints for each
read the median and the 95th percentile of 20 runs, alternating between reads so that none lives in a warm cache alone.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from raingauge.contract import Meta, Page, Settings, Window
from raingauge.contracts.analytics import ANALYTICS
from raingauge.contracts.analytics.reads import active_users, errors, funnel, modules, retention, sessions
from raingauge.contracts.analytics.reads.query import Filters
from raingauge.store.store import Store

CUSTOMER = "cust_0123456789abcdef"
NOW = datetime(2026, 9, 1, tzinfo=UTC)
RUNS = 20

FILL = """
INSERT INTO product_events (customer, day, message_id, position, batch, {columns})
WITH
    intDiv(number, 10) AS turn, number % 10 AS step, intDiv(turn, 2) AS session, cityHash64(session) AS h,
    h % 200000 AS installation, toDateTime64('2026-06-03 00:00:00', 3, 'UTC') + toIntervalMillisecond(
        (intDiv(h, 200000) % 90) * 86400000 + intDiv(h, 18000000) % 80000000 + (turn % 2) * 120000 + step * 1500) AS at,
    cityHash64(turn, 'fail') % 20 = 0 AS fails, cityHash64(installation, 'pro') % 5 = 0 AS night
SELECT '{customer}', toDate(at), toUInt64(toUnixTimestamp64Micro(toDateTime64(at, 6, 'UTC'))), step, 1,
    reinterpret(generateUUIDv4(number), 'FixedString(16)'), toUInt32(cityHash64(number)), 'analytics.v2',
    if(step = 7 AND fails, 'error_occurred', 'feature_used'), at,
    if(installation % 10 = 0, '099a0cc69a6a6cdd3a21c9da', lower(hex(sipHash128(installation)))) AS i,
    lower(hex(sipHash128(installation, 'instance'))), substring(lower(hex(sipHash128(session))), 1, 24),
    cityHash64(turn, 'run'),
    ['source', 'docker', 'curl_installer', 'npm_binary'][installation % 4 + 1],
    ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0'][intDiv(installation, 4) % 5 + 1],
    ['linux', 'darwin', 'win32'][intDiv(installation, 20) % 3 + 1],
    if(step = 9, 'router', 'session'), multiIf(step = 9, 'router', night, 'always_on', 'session'),
    multiIf(step = 9, 'router_judge', night, 'always_on', 'user_session'),
    multiIf(step = 9, 'judge', night, ['discovery', 'execution', 'report'][turn % 3 + 1], ''),
    ['loop_start', 'model_request', 'model_response', 'tool_prepare', 'tool_call', 'tool_call', 'permission_check',
     'tool_call', 'loop_end', 'module_event'][step + 1],
    multiIf(step = 7 AND fails, '', step IN (5, 7) AND fails, 'failed', 'success'),
    if(step = 7 AND fails OR step = 5 AND fails, 'tool_runtime_error', ''),
    if(step = 7 AND fails, ['ENOENT', 'EACCES', 'timeout', 'invalid_argument'][turn % 4 + 1], ''),
    if(step = 8, if(fails, 'model_error', 'completed'), ''), if(step = 9, 'judge_enabled', ''),
    if(step IN (4, 5, 6, 7), concat('tool_', toString(turn % 30)), ''),
    if(step IN (1, 9), ['openai', 'anthropic', 'google'][turn % 3 + 1], ''),
    if(step IN (1, 9), concat('model-', toString(turn % 12)), ''),
    if(step = 5, if(fails, 0, 1), -1), 0, if(step = 0, '{{"channelKey":"cli","permissionMode":"default"}}', ''),
    0, false, false
FROM numbers({start}, {count})
"""


class Everyone:
    """The facts of the one customer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rolled(self, table: str) -> str:
        return self._store.reader.rolled(table)

    async def rows(self, sql: str, row: type[Any], /, **parameters: object) -> Any:
        query = partial(self._store.reader.rows, sql, {**parameters, "customer": CUSTOMER}, row)
        return (await asyncio.get_running_loop().run_in_executor(None, query)).rows

    async def page(self, window: Window, sql: str, row: type[Any], /, **parameters: object) -> Any:
        values = {"since": window.since, "until": window.until, "limit": window.limit, **parameters}
        meta = Meta(str(window.since), str(window.until), "", 0, 0.0)
        return Page(await self.rows(sql, row, **values), meta)


READS: dict[str, tuple[Any, dict[str, Any]]] = {
    "active-users by day": (active_users, {"period": "day"}),
    "active-users by week": (active_users, {"period": "week"}),
    "active-users by month": (active_users, {"period": "month"}),
    "modules": (modules, {}),
    "funnel": (funnel, {}),
    "funnel corrected": (funnel, {"view": "corrected"}),
    "funnel by session": (funnel, {"by": "session"}),
    "errors": (errors, {}),
    "errors corrected": (errors, {"view": "corrected"}),
    "sessions": (sessions, {"view": "corrected"}),
    "sessions by day": (sessions, {"view": "corrected", "by": "day"}),
    "sessions by stop reason": (sessions, {"by": "stop_reason"}),
    "sessions by tool": (sessions, {"by": "tool"}),
    "retention": (retention, {}),
}


def fill(store: Store, events: int) -> None:
    """Write the events as one client would insert them, a million at a time."""
    columns = ", ".join(column.name for column in ANALYTICS.tables[0].columns)
    for start in range(0, events, 1_000_000):
        count = min(1_000_000, events - start)
        store._upkeep.command(FILL.format(columns=columns, customer=CUSTOMER, start=start, count=count))


async def measure(store: Store, audience: str, days: int) -> None:
    """Print the timings of every read over the last days."""
    window = Window(NOW - timedelta(days=days), NOW, 1_000)
    filters = Filters("", "", "", "", "", "", "", audience)  # type: ignore[arg-type]
    seconds: dict[str, list[float]] = {name: [] for name in READS}
    for _ in range(RUNS):
        for name, (handler, parameters) in READS.items():
            started = time.perf_counter()
            await handler.fn(facts=Everyone(store), window=window, filters=filters, **parameters)
            seconds[name].append(time.perf_counter() - started)
    for name, taken in seconds.items():
        p95 = statistics.quantiles(taken, n=20)[-1]
        print(
            f"{days:3} days  {audience:9} {name:25} {statistics.median(taken) * 1e3:7.1f} ms  p95 {p95 * 1e3:7.1f} ms"
        )


def main(directory: Path, events: int) -> None:
    with closing(Store.open(Settings(), directory, [ANALYTICS], lambda: NOW)) as store:
        started = time.perf_counter()
        fill(store, events)
        filled = time.perf_counter()
        store.rollups.run()
        summed = time.perf_counter()
        store.rollups.run()  # as in a server that has run for a while: what is summed up lies behind the last run
        print(f"filled in {filled - started:.0f} s, summed up in {summed - filled:.0f} s")
        for table, rows, size_bytes in store.system():
            if table.startswith("product_"):
                print(
                    f"{table:20} {rows:10} rows {size_bytes / 1e6:7.1f} MB, {size_bytes / events:6.2f} bytes per event"
                )
        for audience in ("all", "ordinary"):
            for days in (7, 30, 90):
                asyncio.run(measure(store, audience, days))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000)
