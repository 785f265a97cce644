"""The LoopGain routes over real facts: loops go in as bodies, answers come out over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.testing import TestClient

from raingauge.auth.credential import Credential
from raingauge.contract import Facts, Reason, Received, Refused, Scope, Settings
from raingauge.contracts.loopgain import LOOPGAIN
from raingauge.contracts.loopgain.alerts import ALERTS
from raingauge.contracts.loopgain.decode import decode_aggregate
from raingauge.contracts.loopgain.reads import READS
from raingauge.contracts.loopgain.tables import LOOP_EVENTS
from raingauge.store.arrow import build
from raingauge.store.writer import InsertBatch
from raingauge.web.shape import answer_error

NOW_SECONDS = 1_795_245_738
NOW = datetime.fromtimestamp(NOW_SECONDS, UTC)
ACME = "cust_a3f5b9c2d18e4710"
OTHER = "cust_0000000000000001"
CREDENTIALS = {
    "acme": Credential(ACME, "tok_1", "", frozenset({Scope.INGEST, Scope.READ}), "team"),
    "acme-ingest": Credential(ACME, "tok_2", "", frozenset({Scope.INGEST}), "team"),
    "acme-read": Credential(ACME, "tok_3", "", frozenset({Scope.READ}), "team"),
    "other": Credential(OTHER, "tok_4", "", frozenset({Scope.INGEST, Scope.READ})),
}


def loop(hour: int = NOW_SECONDS, **changed: Any) -> dict[str, Any]:
    """A body as the library writes it. `changed` replaces members; a name with `__` reaches into an object."""
    body: dict[str, Any] = {
        "schema_version": 4,
        "library": "loopgain",
        "library_version": "0.6.5",
        "workload_id": "rag-rewrite",
        "timestamp_hour": datetime.fromtimestamp(hour, UTC).isoformat(),
        "framework": "langgraph",
        "loop_type": "rag_refine",
        "team": "search-prod",
        "actual_dollars_spent": None,
        "actual_dollars_saved": None,
        "loop": {
            "outcome": "converged",
            "iterations_used": 4,
            "savings_vs_fixed_cap": 6,
            "convergence_profile_summary": {"min": 0.375, "max": 0.4, "median": 0.3875, "samples": 2},
            "rollback_triggered": False,
            "best_index": 3,
        },
        "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
        "smoothing_window": 3,
        "per_iteration": {
            "error_history": [10, 4, 1.5, 0.3],
            "convergence_profile": [0.4, 0.3875],
            "truncated": False,
            "cap": 256,
        },
    }
    for path, value in changed.items():
        *parents, name = path.split("__")
        target = body
        for parent in parents:
            target = target[parent]
        if value is ...:
            del target[name]
        else:
            target[name] = value
    return body


class LoopGain:
    """The routes, and a way to store loops without a socket."""

    def __init__(self, client: TestClient[Litestar], store: Any) -> None:
        self.client = client
        self._store = store

    def store(self, bodies: Mapping[int, dict[str, Any]], customer: str = ACME, **settings: str) -> None:
        """Decode bodies and store each as the message with its id, in one insert."""
        batches = []
        for message_id, body in bodies.items():
            received = Received(message_id, customer, settings=Settings(settings))
            decoded = decode_aggregate(json.dumps(body).encode(), received)
            assert [] == decoded.rejects
            batches.append(build(LOOP_EVENTS, customer, message_id, decoded.rows[LOOP_EVENTS.name]))
        self._store.store.writer.insert(InsertBatch({LOOP_EVENTS.name: pa.Table.from_batches(batches)}))

    def ask(self, path: str, method: str = "GET", token: str = "acme", **more: Any) -> Any:
        """The response to a request with a token."""
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of a read that succeeds."""
        answer = self.ask(path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def make_loop() -> Callable[..., dict[str, Any]]:
    return loop


class StoreFacts(Facts):
    """A customer's view of the store, as handlers get it."""

    def __init__(self, store: Any, credential: Credential) -> None:
        self.customer = credential.customer
        self.tier = credential.tier
        self.now = NOW
        self.settings = Settings()
        self._store = store

    async def rows(self, sql: str, row: type[Any], /, **parameters: object) -> list[Any]:
        return list(self._store.rows(sql, row, customer=self.customer, **parameters))

    async def erase(self, table: str) -> int:
        return int(self._store.store.writer.erase(table, self.customer))


@pytest.fixture
def loopgain(stored_facts: Any) -> Iterator[LoopGain]:
    """The routes of LoopGain at 2026-11-21 07:22:18 UTC, with nothing stored."""
    yield from routes_over(stored_facts(LOOPGAIN, clock=lambda: NOW))


@pytest.fixture(scope="session")
def routes() -> Iterator[LoopGain]:
    """The routes without a store, for what is answered before it is asked."""
    yield from routes_over(None)


def routes_over(store: Any) -> Iterator[LoopGain]:
    async def facts(request: Request[Any, Any, Any]) -> Any:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        credential = CREDENTIALS.get(token)
        if credential is None:
            raise Refused(Reason.UNAUTHORIZED)
        if not credential.may(request.scope["route_handler"].opt.get("scope", Scope.READ)):
            raise Refused(Reason.FORBIDDEN)
        return StoreFacts(store, credential)  # type: ignore[abstract] # these reads need no pages

    app = Litestar(
        route_handlers=[*READS, *ALERTS],
        dependencies={"facts": Provide(facts)},
        exception_handlers={Exception: answer_error},
        logging_config=None,
        openapi_config=None,
    )
    with TestClient(app) as client:
        yield LoopGain(client, store)
