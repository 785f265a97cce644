"""The contract over a real store: requests in, answers of the reads out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
from litestar import Litestar
from litestar.di import Provide
from litestar.params import FromQuery
from litestar.testing import TestClient
from tests.support.facts import ReadFacts

from raingauge.contract import Facts, Family, Person, Received, Window
from raingauge.contracts.otlp import OTLP
from raingauge.store.arrow import build
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CUSTOMER = "cust_0123456789abcdef"


class Agents:
    """One customer's telemetry."""

    def __init__(self, store: Store, customer: str = CUSTOMER) -> None:
        self._store = store
        self._message_id = int(NOW.timestamp()) * 1_000_000
        self.people: dict[str, str] = {}
        self.customer = customer

        async def facts() -> Facts:
            return ReadFacts(store, self.customer, NOW, self.people)

        async def window(
            since: FromQuery[str] = "2026-11-13T12:00:00",
            until: FromQuery[str] = "2026-11-20T12:00:00",
            limit: FromQuery[int] = 1_000,
        ) -> Window:
            begin, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (since, until))
            return Window(begin, end, limit)

        self._app = Litestar(
            [*OTLP.handlers],
            dependencies={"facts": Provide(facts), "window": Provide(window)},
            openapi_config=None,
            logging_config=None,
            debug=True,
        )

    def deliver(self, signal: str, request: dict[str, Any]) -> None:
        """One POST of traces, metrics or logs."""
        self._message_id += 1
        body = msgspec.json.encode(request)
        intake = next(intake for intake in OTLP.intakes if intake.name == f"otlp.{signal}")
        received = Received(self._message_id, self.customer, "application/json", identity_key=bytes(range(32)))
        decoded = intake.decode(body, received)
        assert not decoded.rejects
        self._know(decoded.people)
        tables = {table.name: table for table in OTLP.tables}
        batch = {
            name: pa.Table.from_batches([build(tables[name], self.customer, self._message_id, rows)])
            for name, rows in decoded.rows.items()
        }
        self._store.writer.insert(InsertBatch(batch))

    def _know(self, people: Sequence[Person]) -> None:
        self.people |= {person.key: person.name for person in people}

    def roll_up(self) -> None:
        """Compute the sums, as the server does every 15 minutes."""
        self._store.rollups.run()

    def families(self) -> list[Family]:
        """What the contract shows on GET /metrics."""
        assert OTLP.prometheus is not None
        return list(asyncio.run(_awaited(OTLP.prometheus(ReadFacts(self._store, self.customer, NOW, self.people), 1))))

    def ask(self, read: str, **query: Any) -> Any:
        """The `data` of a read over the seven days before noon of 2026-11-20, unless `query` says another window."""
        with TestClient(self._app) as http:
            answer = http.get(f"/api/{read}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


async def _awaited(result: Any) -> Sequence[Family]:
    found: Sequence[Family] = await result
    return found
