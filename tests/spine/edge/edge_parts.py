"""Small real parts for tests of the edge: an intake, a directory, a queue in memory, an API application."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from raingauge.auth.credential import Credential
from raingauge.contract import Answer, Decoded, Head, Intake, Received, Scope
from raingauge.edge.ports import ASGIApp, Receive, Send
from raingauge.edge.ports import Scope as AsgiScope
from raingauge.edge.server import Edge
from raingauge.errors import Reason, Refused
from raingauge.metrics import Metrics
from raingauge.queue import Appended, Message
from raingauge.settings import Settings

TOKEN = "rgk_the-valid-token-of-the-default-one"
READ_TOKEN = "rgk_the-token-that-may-only-read-here"
OTHER_TOKEN = "rgk_the-valid-token-of-another-custo"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


class PlainDialect:
    """Answers 202 with the size of the body, and errors as `{"error": code}` plus whatever a refusal carries."""

    def accepted(self, head: Head, body: bytes) -> Answer:
        return Answer(202, b'{"size":%d}' % len(body), (("Content-Type", "application/json"),))

    def refused(self, head: Head, refusal: Refused) -> Answer:
        body = msgspec.json.encode({"error": refusal.code, **refusal.extra})
        return Answer(refusal.status, body, (("Content-Type", "application/json"),))


def check(head: Head, body: bytes) -> None:
    """Anything is fine, except what asks for trouble."""
    if body == b"refuse me":
        raise Refused(Reason.INVALID_PAYLOAD)
    if body == b"crash":
        raise ZeroDivisionError("a secret that stood in the body")


def no_browsers(head: Head) -> None:
    if head.headers.get("origin"):
        raise Refused(Reason.BROWSER_REFUSED)


def decode(body: bytes, received: Received) -> Decoded:
    return Decoded()


INTAKE = Intake(name="plain.things", path="/v1/things", check=check, decode=decode, dialect=PlainDialect())
INTAKES = (
    INTAKE,
    replace(INTAKE, name="plain.library", path="/v1/library", admit=no_browsers, lost_answer_seconds=10.0),
    replace(INTAKE, name="plain.small", path="/v1/small", body_max_bytes=1000),
    replace(INTAKE, name="plain.capped", path="/v1/capped", daily_cap=lambda tier: 2 if tier == "free" else None),
    replace(INTAKE, name="plain.open", path="/v1/open", public=True, public_customer="everyone", preflight=False),
    replace(INTAKE, name="plain.collect", path="/collect", public=True),
)


class MemoryDirectory:
    """The credentials of the tests."""

    def __init__(self) -> None:
        both = frozenset({Scope.INGEST, Scope.READ})
        self.credentials = {
            TOKEN: Credential("cust_default", "tok_1", "laptop", both, tier="free"),
            OTHER_TOKEN: Credential("cust_other", "tok_3", "other", both),
            READ_TOKEN: Credential("cust_default", "tok_2", "reader", frozenset({Scope.READ})),
        }
        self.touched: list[str] = []

    def find(self, token: str) -> Credential | None:
        return self.credentials.get(token)

    def touch(self, credential: Credential, at: datetime) -> None:
        self.touched.append(credential.token_id)

    def customer_exists(self, customer_id: str) -> bool:
        return customer_id in {credential.customer for credential in self.credentials.values()}


class MemoryQueue:
    """A queue that keeps messages in a list, committed by its own thread, as late as a test wants."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.is_full = False
        self.failure: BaseException | None = None
        self.go = threading.Event()
        self.go.set()
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._keys: set[tuple[str, str, str]] = set()

    def full(self) -> bool:
        return self.is_full

    def append(self, message: Message, done: Callable[[Appended | BaseException], None]) -> None:
        self._writer.submit(self._write, message, done)

    def _write(self, message: Message, done: Callable[[Appended | BaseException], None]) -> None:
        self.go.wait(20)
        if self.failure:
            done(self.failure)
            return
        key = (message.intake, message.customer, message.idempotency_key)
        new = not message.idempotency_key or key not in self._keys
        self._keys.add(key)
        if new:
            self.messages.append(message)
        done(Appended(len(self.messages), new))

    def close(self) -> None:
        self.go.set()
        self._writer.shutdown()


def api_for(queue: MemoryQueue) -> ASGIApp:
    """An API that says what it was told; `/stored` lists what is in the queue."""

    async def api(scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/crash":
            raise ZeroDivisionError("a secret of the API")
        if scope["path"] == "/stored":
            scope["path_template"] = "/stored"
            answer: Any = [{"intake": one.intake, "size": len(one.body)} for one in queue.messages]
        else:
            credential = scope["state"]["credential"]
            answer = {
                "customer": credential.customer if credential else None,
                "client_key": scope["state"]["client_key"],
                "scheme": scope["scheme"],
            }
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return api


class Parts:
    """An edge with everything it was built from within reach."""

    def __init__(self, **settings: str | float) -> None:
        self.queue = MemoryQueue()
        self.directory = MemoryDirectory()
        self.metrics = Metrics()
        self.edge = Edge(
            INTAKES,
            self.queue,
            self.directory,
            Settings(settings),
            api_for(self.queue),
            self.metrics,
        )

    def scraped(self) -> str:
        return self.metrics.render()[0].decode()
