"""The worked data set: two installations, every trap of the real client once, and its expected numbers in the tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.params import FromQuery
from litestar.testing import TestClient
from tests.support.facts import ReadFacts

from raingauge.contract import Decoded, Facts, Received, Settings, Window
from raingauge.contracts.analytics import ANALYTICS
from raingauge.contracts.analytics.decode import decode
from raingauge.contracts.analytics.tables import EVENTS
from raingauge.store import client, schema
from raingauge.store.arrow import build
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

Event: TypeAlias = dict[str, Any]

ANN = ("a1" * 12, "1" * 24, "d4" * 12)
BOB = ("b2" * 12, "1" * 24, "e5" * 12)
NIGHT = ("a1" * 12, "2" * 24, "f6" * 12)
OLD = ("c3" * 12, "3" * 24, "")


def event(number: int, at: str, who: tuple[str, str, str], properties: dict[str, Any], **changed: Any) -> Event:
    """One event as the client writes it; `changed` replaces members of the envelope, None leaves them out."""
    installation, instance, session = who
    made: Event = {
        "schemaVersion": "analytics.v2",
        "eventId": f"00000000-0000-4000-8000-{number:012}",
        "eventName": "feature_used" if "outcome" in properties else "error_occurred",
        "occurredAt": at,
        "installationId": installation,
        "instanceId": instance,
        "deploymentMode": "docker",
        "commitHash": "abc1234",
        "appVersion": "0.1.0",
        "platform": "linux",
        "properties": properties,
        "sessionId": session or None,
        **changed,
    }
    return {key: value for key, value in made.items() if value is not None}


def chat(stage: str, **properties: Any) -> dict[str, Any]:
    """Properties of an ordinary user's session."""
    return {
        "module": "session", "ownerModule": "session", "executionKind": "user_session", "loopStage": stage,
        **properties,
    }  # fmt: skip


def worked() -> list[Event]:
    """16 received events: 13 of version 2, one of version 1, one duplicate, one that cannot be kept."""
    tool_error = {"errorCategory": "tool_runtime_error", "code": "ENOENT", "toolName": "bash"}
    loop_error = {"errorCategory": "loop_error", "code": "model_error"}
    night = {"ownerModule": "always_on", "executionKind": "always_on", "phase": "discovery"}
    model = chat("model_request", outcome="success", runId="r1", provider="openai", model="m1")
    call = {"runId": "r1", "toolName": "bash", "toolCallId": "t1"}
    ended = {"loopStage": "loop_end", "outcome": "success"}
    evening, morning = "2026-08-20T23:59:", "2026-08-21T09:00:"
    return [
        event(
            1,
            evening + "58.000Z",
            ANN,
            chat("loop_start", outcome="success", runId="r1", channelKey="cli", permissionMode="default"),
        ),
        event(2, evening + "58.500Z", ANN, model),
        event(3, evening + "59.000Z", ANN, chat("tool_call", outcome="success", **call)),
        event(
            4,
            evening + "59.400Z",
            ANN,
            chat("tool_call", outcome="failed", errorCategory="tool_runtime_error", success=False, **call),
        ),
        event(5, evening + "59.410Z", ANN, chat("tool_call", **tool_error)),
        event(6, evening + "59.410Z", ANN, chat("tool_call", outcome="failed", **tool_error)),
        event(
            7,
            "2026-08-21T00:00:02.000Z",
            ANN,
            chat("loop_end", outcome="success", runId="r1", stopReason="completed", turns=2),
        ),
        event(2, evening + "58.500Z", ANN, model),
        event(
            8,
            morning + "00.000Z",
            BOB,
            chat("loop_start", outcome="success", runId="r2", channelKey="feishu", permissionMode="default"),
        ),
        event(9, morning + "05.000Z", BOB, chat("loop_end", **loop_error)),
        event(10, morning + "05.000Z", BOB, chat("loop_end", outcome="failed", **loop_error)),
        event(
            11,
            morning + "05.001Z",
            BOB,
            chat("loop_end", outcome="success", runId="r2", stopReason="model_error", turns=1),
        ),
        event(
            12,
            "2026-08-20T12:00:00.000Z",
            (*NIGHT[:2], ""),
            {
                **night,
                "module": "always_on",
                "loopStage": "module_event",
                "outcome": "no_plan",
                "event": "no_plan",
                "runId": "ao1",
            },
        ),
        event(
            13,
            "2026-08-20T12:00:01.000Z",
            NIGHT,
            {**night, **ended, "module": "session", "runId": "ao1.discover", "stopReason": "completed", "turns": 4},
        ),
        event(
            14,
            "2026-08-21T10:00:00.000Z",
            OLD,
            {"channel": "gateway", "projectRoot": "/home/x/p"},
            schemaVersion="analytics.v1",
            eventName="app_started",
            projectPath="/home/x/p",
        ),
        event(15, "not-a-date", BOB, chat("loop_start", outcome="success")),
    ]


ARRIVED = NOW = datetime(2026, 8, 22, tzinfo=UTC)
CUSTOMER = "cust_0123456789abcdef"


def decoded(events: list[Any] | bytes) -> Decoded:
    """The events as they come out of decoding."""
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    return decode(body, Received(int(ARRIVED.timestamp()) * 1_000_000, "cust_1"))


def stored(events: list[Any] | bytes) -> list[dict[str, Any]]:
    """The decoded rows as dicts by column name."""
    names = ["position", *(column.name for column in EVENTS.columns)]
    return [dict(zip(names, row, strict=True)) for row in decoded(events).rows[EVENTS.name]]


class Usage:
    """What the tests of this folder build events with and look at them through."""

    ann, bob = ANN, BOB
    event = staticmethod(event)
    chat = staticmethod(chat)
    worked = staticmethod(worked)
    decoded = staticmethod(decoded)
    stored = staticmethod(stored)

    def kept(self, properties: Any, **changed: Any) -> dict[str, Any]:
        """The row that one event with these properties becomes."""
        return stored([event(1, "2026-08-20T12:00:00.000Z", ANN, properties, **changed)])[0]


@pytest.fixture(scope="session")
def usage() -> Usage:
    return Usage()


class Product:
    """The contract over a store: events in, answers of the reads out."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._message_id = int(ARRIVED.timestamp()) * 1_000_000
        self.customer = CUSTOMER

        async def facts() -> Facts:
            return ReadFacts(store, self.customer, NOW)

        async def window(since: FromQuery[str], until: FromQuery[str], limit: FromQuery[int] = 1_000) -> Window:
            return Window(
                datetime.fromisoformat(since).replace(tzinfo=UTC),
                datetime.fromisoformat(until).replace(tzinfo=UTC),
                limit,
            )

        self._app = Litestar(
            [*ANALYTICS.handlers],
            dependencies={"facts": Provide(facts), "window": Provide(window)},
            # Several modules are called conftest, so litestar cannot look the names up by module.
            signature_namespace={"Facts": Facts, "FromQuery": FromQuery, "Window": Window},
            openapi_config=None,
            logging_config=None,
        )

    def deliver(self, events: list[Event]) -> tuple[int, int, int]:
        """One POST: what became of its events, as `stored`, `duplicate` and `conflict`."""
        self._message_id += 1
        found = decode(json.dumps(events).encode(), Received(self._message_id, self.customer))
        rows = pa.Table.from_batches([build(EVENTS, self.customer, self._message_id, found.rows[EVENTS.name])])
        counts = self._store.writer.insert(InsertBatch({EVENTS.name: rows})).tables[EVENTS.name]
        return counts.stored, counts.duplicate, counts.conflict

    def roll_up(self) -> None:
        """Compute the daily sums, as the server does every 15 minutes."""
        self._store.rollups.run()

    def expire(self) -> int:
        """Delete every event that has arrived, as retention does in the end; how many went."""
        gone = self._store.retention.run({EVENTS.name: {self.customer: 1}})
        return sum(deleted.rows for deleted in gone if deleted.table == EVENTS.name)

    def totals(self) -> dict[str, float]:
        """The samples for Prometheus by their labels."""
        found = asyncio.run(cast(Any, ANALYTICS.prometheus)(ReadFacts(self._store, self.customer, NOW), 1))
        return {sample.labels: sample.value for family in found for sample in family.samples}

    def ask(self, read: str, **query: str) -> list[dict[str, Any]]:
        """The rows of a read over August 2026, unless `query` says another window."""
        with TestClient(self._app) as http:
            answer = http.get(f"/api/analytics/{read}", params={"since": "2026-08-01", "until": "2026-09-01", **query})
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows


@pytest.fixture
def product(open_store: Any) -> Product:
    return Product(open_store(ANALYTICS))


@pytest.fixture(scope="module", params=["as facts", "half rolled up", "rolled up"])
def worked_product(_engine: Path, request: pytest.FixtureRequest) -> Iterator[Product]:
    """The worked set, delivered in two halves and then once more, with the daily sums at different stages.

    A module reads it and changes nothing: opening a store for each test would take most of the time.
    """
    with closing(client.connect(Settings(), _engine, {})) as emptier:
        for (table,) in emptier.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"):
            emptier.command(f"DROP TABLE {schema.name(table)} SYNC")
    with closing(Store.open(Settings(), _engine, [ANALYTICS], lambda: NOW)) as store:
        found = Product(store)
        found.deliver(worked()[:6])
        if request.param != "as facts":
            found.roll_up()
        found.deliver(worked()[6:])
        if request.param == "rolled up":
            found.roll_up()
        found.deliver(worked())
        yield found
