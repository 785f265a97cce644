"""The front door: an ASGI application that answers ingest routes itself and hands the rest to the API.

One table holds all ingest routes; a path matches exactly or not at all. `/k/<token>/<ingest route>` is the same route
for clients that cannot set a header: the token is cut off here and goes nowhere but to the directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Final

import structlog
from prometheus_client import Counter

from raingauge import log
from raingauge.auth.credential import Credential
from raingauge.auth.parse import is_jwt, presented
from raingauge.contract import Answer, Head, Intake
from raingauge.edge.address import Addresses
from raingauge.edge.answers import Cors, headers_of, respond, with_common
from raingauge.edge.body import Gone, is_gone
from raingauge.edge.gate import Gate
from raingauge.edge.ports import ASGIApp, Directory, Event, Headers, Inbox, Receive, Reply, Scope, Send, Visitors
from raingauge.edge.receiver import INLINE_BYTES, Receiver, Request, json_refusal
from raingauge.errors import Reason, Refused
from raingauge.metrics import Metrics
from raingauge.settings import CORS_ORIGINS, TRUSTED_PROXIES, Settings

PATH_PREFIX: Final = "/k/"
UNKNOWN_ROUTE: Final = "(unknown)"
API: Final = "api"
CLIENT_GONE: Final = 499
"""The status that stands in logs and metrics when the client left before its answer."""

UNLIMITED: Final = frozenset({"/health", "/-/ready"})
"""Asked by supervisors, which must not be told to come back later."""

_log = structlog.get_logger(__name__)


class Edge:
    """The ASGI application of the whole server.

    `intakes` of all contracts have different paths (ValueError if not). The API finds in `scope["state"]` the
    `credential` (a Credential or None: whether that is enough is its decision), the `refusal` (why somebody who showed
    something is nobody, else None) and the `client_key`, by which it may limit things per address and which it must
    not keep. `visitors` knows those who call the API without a token; ingest routes take tokens only. `receiver`,
    `addresses` and `note` are for the gRPC server, which is another way in to the same.
    """

    def __init__(
        self,
        intakes: Sequence[Intake],
        queue: Inbox,
        directory: Directory,
        settings: Settings,
        api: ASGIApp,
        metrics: Metrics,
        visitors: Visitors | None = None,
    ) -> None:
        self._intakes = {intake.path: intake for intake in intakes}
        if len(self._intakes) < len(intakes):
            raise ValueError("two intakes have the same path")
        self._contracts = {intake.path: intake.name.partition(".")[0] for intake in intakes}
        self._api = api
        self._visitors = visitors
        self._cors = Cors(settings[CORS_ORIGINS])
        self.addresses = Addresses(settings[TRUSTED_PROXIES])
        self._gate = Gate(directory, settings)
        self.receiver = Receiver(self._gate, queue, directory, settings, metrics)
        self._requests = metrics.requests
        self._request_counters: dict[tuple[str, str, int], Counter] = {}

    def seed_daily(self, intake_name: str, customer: str, counts: Sequence[tuple[float, int]]) -> None:
        """Start a customer's 24 hours from what is stored: (seconds since 1970, messages) in order of time."""
        self._gate.seed_daily(intake_name, customer, counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        path, token = _split(scope["path"])
        intake = self._intakes.get(path)
        if intake is None:
            # What began with /k/ must not reach the API: it carries a token.
            await self._answer_api(scope, receive, send, known=not token and _is_plain(path))
        elif scope["method"] == "OPTIONS" and intake.preflight:
            await self._preflight(scope, send, path, intake.path, self._contracts[path])
        else:
            await self._answer_intake(scope, receive, send, intake, token)

    def answer_whole(self, scope: Scope, body: bytes, is_gone: Callable[[], bool], reply: Reply) -> bool:
        """Answer a POST that came in one piece, without waiting for anything in between.

        False, with nothing done, when it has to go through `__call__`. Otherwise `reply` is called once, at once or on
        the event loop; `is_gone` tells whether the client has left.
        """
        path, token = _split(scope["path"])
        intake = self._intakes.get(path)
        if intake is None or len(body) > INLINE_BYTES:
            return False
        started = perf_counter()
        request = self._request(scope, intake, token, is_gone)
        if request.head.headers.get("content-encoding"):
            return False

        def answered(outcome: Answer | Refused) -> None:
            answer = self.receiver.answer(request, outcome)
            reply(answer.status, headers_of(answer, self._ingest_cors(request)), answer.body)
            self._note_intake(request, answer.status, started)

        self.receiver.take_whole(request, body, answered)
        return True

    async def _answer_intake(self, scope: Scope, receive: Receive, send: Send, intake: Intake, token: str) -> None:
        started = perf_counter()
        request = self._request(scope, intake, token, partial(is_gone, receive))
        try:
            answer = self.receiver.answer(request, await self.receiver.take(request, receive))
        except Refused as refusal:
            answer = self.receiver.answer(request, refusal)
        except Gone:
            self._note_intake(request, CLIENT_GONE, started)
            return
        await respond(send, answer, self._ingest_cors(request))
        self._note_intake(request, answer.status, started)

    def _request(self, scope: Scope, intake: Intake, token: str, is_gone: Callable[[], bool]) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        head = Head(scope["method"], intake.path, scope["query_string"].decode("latin-1"), headers)
        client_key = self.addresses.client_key(scope)
        return Request(intake, self._contracts[intake.path], head, token, client_key, is_gone)

    def _ingest_cors(self, request: Request) -> Headers:
        origin = request.head.headers.get("origin", "")
        if not origin or not request.intake.preflight or request.refusal is Reason.BROWSER_REFUSED:
            return []
        return self._cors.ingest(origin.encode("latin-1"))

    def _note_intake(self, request: Request, status: int, started: float) -> None:
        self.note(
            request.head.method,
            request.contract,
            request.intake.path,
            status,
            started,
            bytes_in=request.size_bytes,
            customer=request.customer,
            reason=request.refusal or "",
        )

    async def _preflight(self, scope: Scope, send: Send, path: str, route: str, contract: str) -> None:
        started = perf_counter()
        await respond(send, Answer(204), self._cors.api(path, _origin(scope)))
        self.note("OPTIONS", contract, route, 204, started)

    async def _answer_api(self, scope: Scope, receive: Receive, send: Send, *, known: bool) -> None:
        """Hand a request to the API, with CORS and the common headers on whatever it answers."""
        path = scope["path"]
        if scope["method"] == "OPTIONS":
            await self._preflight(scope, send, path, UNKNOWN_ROUTE, API)
            return
        started = perf_counter()
        cors = self._cors.api(path, _origin(scope))
        status = 0
        reason = ""
        customer = ""

        async def send_with_headers(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
                event = {**event, "headers": with_common(event["status"], list(event.get("headers", ())), cors)}
            await send(event)

        try:
            customer = await self._introduce(scope, path, known=known)
            await self._api(scope, receive, send_with_headers)
        except Refused as refusal:
            status, reason = refusal.status, refusal.reason
            await respond(send, json_refusal(refusal), cors)
        except Exception:  # noqa: BLE001 - the last resort: no traceback reaches a client
            _log.exception("api.failed", route=scope.get("path_template", UNKNOWN_ROUTE))
            reason = Reason.INTERNAL
            if not status:
                status = 500
                await respond(send, json_refusal(Refused(Reason.INTERNAL)), cors)
        route = scope.get("path_template") or UNKNOWN_ROUTE
        self.note(scope["method"], API, route, status or CLIENT_GONE, started, customer=customer, reason=reason)

    async def _introduce(self, scope: Scope, path: str, *, known: bool) -> str:
        """Tell the API who calls; the customer, or "" when that is nobody. Raises Refused(RATE_LIMITED, NOT_FOUND)."""
        if not known:
            raise Refused(Reason.NOT_FOUND)
        client_key = self.addresses.client_key(scope)
        scope["scheme"] = self.addresses.scheme(scope)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        token = presented(headers)
        credential, refusal = await self._identified(scope, headers, token)
        if path not in UNLIMITED:
            # Only what was shown on purpose: a browser sends a cookie that has ended with each picture of a page.
            if token and credential is None and (refusal is None or refusal.reason is Reason.UNAUTHORIZED):
                self._gate.count_failure(client_key)
            self._gate.check_rates(credential, client_key)
        if credential:
            self._gate.touch(credential)
        scope.setdefault("state", {}).update(credential=credential, refusal=refusal, client_key=client_key)
        return credential.customer if credential else ""

    async def _identified(
        self, scope: Scope, headers: Mapping[str, str], token: str | None
    ) -> tuple[Credential | None, Refused | None]:
        """Who calls, or why not."""
        if self._visitors is None or (token and not is_jwt(token)):
            return self._gate.find(token) if token else None, None
        try:
            return await self._visitors.identify(token, scope["method"], scope["scheme"], headers), None
        except Refused as refusal:
            return None, refusal

    def note(
        self,
        method: str,
        contract: str,
        route: str,
        status: int,
        started: float,
        *,
        bytes_in: int = 0,
        customer: str = "",
        reason: str = "",
    ) -> None:
        """Count and log one answered request; `started` is a `perf_counter`."""
        counter = self._request_counters.get((contract, route, status))
        if counter is None:
            counter = self._requests.labels(contract, route, str(status))
            self._request_counters[contract, route, status] = counter
        counter.inc()
        log.request(
            method=method,
            route=route,
            status=status,
            duration_ms=round((perf_counter() - started) * 1000, 3),
            bytes_in=bytes_in,
            customer=customer,
            reason=reason,
        )


def _split(path: str) -> tuple[str, str]:
    """The path without `/k/<token>`, and the token. Below `/k/` a missing token is still not "" but "-"."""
    if not path.startswith(PATH_PREFIX):
        return path, ""
    token, slash, rest = path.removeprefix(PATH_PREFIX).partition("/")
    return slash + rest, token or "-"


def _is_plain(path: str) -> bool:
    """Whether a router that ignores surplus slashes would see the same path as we do."""
    return path == "/" or not (path.endswith("/") or "//" in path)


def _origin(scope: Scope) -> bytes:
    origin: bytes = next((value for name, value in scope["headers"] if name == b"origin"), b"")
    return origin
