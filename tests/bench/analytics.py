"""The reads of product usage over 90 days of 200,000 installations, their size on disk, and how fast events arrive.

A process of its own fills a store with events in the shape of real turns (ten events each, two turns in a session), sums
them up as the server does, and asks each read in turn, so that none lives in a warm cache alone. The reference is a read
of one row. Arrivals go through a running server in the client's batches of 20.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from tests.bench.report import Report, Spread, figure, percentile
from tests.support.server import Server, running, until

from raingauge.contract import Meta, Page, Settings, Window
from raingauge.contracts.analytics import ANALYTICS
from raingauge.contracts.analytics.reads import active_users, errors, funnel, modules, retention, sessions
from raingauge.contracts.analytics.reads.query import UNFILTERED
from raingauge.store.store import Store

CUSTOMER = "cust_0123456789abcdef"
NOW = datetime(2026, 9, 1, tzinfo=UTC)
RUNS = 20
MARK_MS = 100
DAYS = 90
ROWS_PER_INSERT = 1_000_000
BATCHES = 400
BATCH_EVENTS = 20
CONNECTIONS = 8

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
    "modules corrected": (modules, {"view": "corrected"}),
    "funnel": (funnel, {}),
    "funnel corrected": (funnel, {"view": "corrected"}),
    "funnel by session": (funnel, {"by": "session"}),
    "funnel by session corrected": (funnel, {"by": "session", "view": "corrected"}),
    "errors": (errors, {}),
    "errors corrected": (errors, {"view": "corrected"}),
    "sessions": (sessions, {}),
    "sessions corrected": (sessions, {"view": "corrected"}),
    "sessions by day": (sessions, {"view": "corrected", "by": "day"}),
    "sessions by stop reason": (sessions, {"view": "corrected", "by": "stop_reason"}),
    "sessions by tool": (sessions, {"view": "corrected", "by": "tool"}),
    "retention": (retention, {}),
    "retention corrected": (retention, {"view": "corrected"}),
}
FILTERS = {
    "everybody": UNFILTERED,
    "ordinary": replace(UNFILTERED, audience="ordinary"),
    "on linux": replace(UNFILTERED, platform="linux"),
}


def fill(store: Store, events: int) -> None:
    """Write the events as one client would insert them."""
    columns = ", ".join(column.name for column in ANALYTICS.tables[0].columns)
    for start in range(0, events, ROWS_PER_INSERT):
        count = min(ROWS_PER_INSERT, events - start)
        store._upkeep.command(FILL.format(columns=columns, customer=CUSTOMER, start=start, count=count))


async def timed(store: Store) -> dict[str, list[float]]:
    """Seconds of every read, the first time first."""
    window = Window(NOW - timedelta(days=DAYS), NOW, 1_000)
    facts = Everyone(store)
    seconds: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for (name, (handler, parameters)), (whose, filters) in product(READS.items(), FILTERS.items()):
            started = time.perf_counter()
            await handler.fn(facts=facts, window=window, filters=filters, **parameters)
            seconds.setdefault(f"{name}, {whose}", []).append(time.perf_counter() - started)
        started = time.perf_counter()
        await facts.rows("SELECT 1 AS one WHERE {customer:String} != ''", dict)
        seconds.setdefault("one row", []).append(time.perf_counter() - started)
    return seconds


def measure(directory: Path, events: int) -> dict[str, Any]:
    """Fill an empty directory and time everything."""
    with closing(Store.open(Settings(), directory, [ANALYTICS], lambda: NOW)) as store:
        began = time.perf_counter()
        fill(store, events)
        filled = time.perf_counter()
    with closing(Store.open(Settings(), directory, [ANALYTICS], lambda: NOW)) as store:
        remembered = time.perf_counter()
        store.rollups.run()
        summed = time.perf_counter()
        return {
            "fill": filled - began,
            "identities": remembered - filled,
            "sums": summed - remembered,
            "sizes": {table: size for table, _, size in store.system() if table.startswith("product_")},
            "reads": asyncio.run(timed(store)),
        }


def event() -> dict[str, Any]:
    return {
        "schemaVersion": "analytics.v2",
        "eventId": str(uuid.uuid4()),
        "eventName": "feature_used",
        "occurredAt": datetime.now(UTC).isoformat(),
        "installationId": uuid.uuid4().hex[:24],
        "instanceId": "1" * 24,
        "sessionId": "2" * 24,
        "deploymentMode": "source",
        "appVersion": "0.4.0",
        "platform": "linux",
        "properties": {
            "module": "session",
            "ownerModule": "session",
            "executionKind": "user_session",
            "loopStage": "loop_start",
            "outcome": "success",
            "runId": uuid.uuid4().hex,
        },
    }


def post(server: Server, bodies: list[bytes]) -> None:
    """Send one batch after the other over one connection, as a client does; anything but 202 is an error."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    with closing(connection):
        for body in bodies:
            connection.request("POST", f"/k/{server.token}/collect", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 202:
                raise RuntimeError(f"answered {answer.status}")


def arrivals(directory: Path) -> tuple[float, float]:
    """Events per second until all are acknowledged, and until all can be read."""
    bodies = [json.dumps([event() for _ in range(BATCH_EVENTS)]).encode() for _ in range(BATCHES)]
    with running(directory) as server, server.client() as reader, ThreadPoolExecutor(CONNECTIONS) as senders:

        def stored() -> bool:
            rows = reader.get("/api/analytics/modules", params={"since": "7d"}).raise_for_status().json()["data"]
            return bool(sum(row["events"] for row in rows) == BATCHES * BATCH_EVENTS)

        began = time.perf_counter()
        for done in [senders.submit(post, server, bodies[place::CONNECTIONS]) for place in range(CONNECTIONS)]:
            done.result()
        acknowledged = time.perf_counter()
        until(stored, 60)
        readable = time.perf_counter()
    return len(bodies) * BATCH_EVENTS / (acknowledged - began), len(bodies) * BATCH_EVENTS / (readable - began)


def run(report: Report) -> None:
    events = 10 * report.events
    command = [sys.executable, "-m", "tests.bench.analytics", str(report.scratch / "product"), str(events)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(finished.stdout.splitlines()[-1])
    floor = Spread.of(found["reads"]["one row"]).median
    report.table(
        f"Product usage: reading {events:,} events of 200,000 installations over {DAYS} days, load {os.getloadavg()[0]:.1f}",
        f"{RUNS} rounds, the reads one after the other in each, in one process. The mark is {MARK_MS} ms at p95.",
        ("read", "ms", "first ms", "p95 ms", "mark", "of one row"),
        [
            (
                name,
                Spread.of(1e3 * taken for taken in seconds),
                figure(1e3 * seconds[0]),
                figure(1e3 * percentile(seconds, 0.95)),
                "met" if 1e3 * percentile(seconds, 0.95) < MARK_MS else "MISSED",
                f"{figure(Spread.of(seconds).median / floor)}×",
            )
            for name, seconds in found["reads"].items()
        ],
    )
    sizes = found["sizes"]
    facts, identities = sizes.pop("product_events"), sizes.pop("product_events_identities")
    report.table(
        "Product usage: on disk",
        "Made-up ids are random like real ones; the first start with a filled table copies all identities.",
        ("what", "bytes/event", "events/s"),
        [
            ("events", f"{facts / events:.1f}", figure(events / found["fill"])),
            ("identities, kept for ever", f"{identities / events:.1f}", figure(events / found["identities"])),
            ("daily sums", f"{sum(sizes.values()) / events:.1f}", figure(events / found["sums"])),
        ],
    )
    acknowledged, readable = arrivals(report.scratch / "arrivals")
    report.table(
        f"Product usage: arrivals in batches of {BATCH_EVENTS}",
        f"{BATCHES} batches over {CONNECTIONS} connections into an empty server, sent by this process.",
        ("until", "events/s"),
        [("acknowledged", figure(acknowledged)), ("readable", figure(readable))],
    )


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
