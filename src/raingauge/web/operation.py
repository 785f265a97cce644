"""Pages about the server itself: liveness, readiness, its own metrics, the system report, the front page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler, route

from raingauge.auth.credential import Credential
from raingauge.contract import Contract, Reason, Refused
from raingauge.metrics import Metrics
from raingauge.web import arrivals, dashboard, pages, upkeep
from raingauge.web.erasure import Erasing
from raingauge.web.report import SystemReport
from raingauge.web.shape import credential_of


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Operating:
    """What the operation pages ask of the running system. `problems` is empty when it can do its work."""

    contracts: Sequence[Contract]
    metrics: Metrics
    problems: Callable[[], list[str]]
    report: Callable[[Credential], SystemReport]
    base_url: str
    keeping: upkeep.Keeping
    erasing: Erasing


def health_body(contracts: Sequence[Contract]) -> bytes:
    """Liveness: each contract's own members, then ours. Touches nothing that can fail."""
    body: dict[str, object] = {"status": "ok"}
    for contract in contracts:
        body |= contract.health
    return msgspec.json.encode(body | {"server": "raingauge", "contracts": [c.name for c in contracts]})


def _nothing_at_root(contracts: Sequence[Contract]) -> HTTPRouteHandler:
    """`POST /`: a client was given an address without the path, and should hear it rather than be told all is well."""
    hints = [contract.root_hint for contract in contracts if contract.root_hint]
    detail = " ".join(("Nothing is received at this path.", *hints))

    @post("/", include_in_schema=False)
    async def nothing_posted() -> None:
        raise Refused(Reason.NOT_FOUND, detail)

    return nothing_posted


def handlers(operating: Operating) -> list[HTTPRouteHandler]:
    """The route handlers of the spine."""
    health = health_body(operating.contracts)
    app = dashboard.Dashboard.load()

    @route("/health", http_method=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def liveness() -> Response[bytes]:
        return Response(health, status_code=200, media_type=MediaType.JSON)

    @route("/", http_method=["GET", "HEAD", "PUT", "PATCH", "DELETE"], status_code=200, include_in_schema=False)
    async def front(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not dashboard.wants_page(request):
            return Response(health, status_code=200, media_type=MediaType.JSON, headers={"Vary": "Accept"})
        if app.built:
            return app.page(request)
        body = pages.front(operating.contracts, operating.base_url, operating.problems())
        return Response(body, status_code=200, media_type=MediaType.HTML, headers=pages.HEADERS)

    @get("/-/ready", summary="Readiness", tags=["operation"], raises=[])
    async def ready() -> Response[Readiness]:
        """200 when messages can be accepted, stored and read; 503 with the problems otherwise."""
        problems = operating.problems()
        return Response(Readiness(not problems, problems), status_code=503 if problems else 200)

    @get("/-/metrics", include_in_schema=False, sync_to_thread=True)
    def own_metrics() -> Response[bytes]:
        body, content_type = operating.metrics.render()
        # As a header: litestar adds a charset to a media type, also when it has one.
        return Response(body, headers={"Content-Type": content_type})

    @get("/api/system", summary="State of the server", tags=["operation"], sync_to_thread=True)
    def system(request: Request[Any, Any, Any]) -> SystemReport:
        """Lag and the caller's clients; the whole installation for admins of the first customer."""
        return operating.report(credential_of(request))

    @get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request[Any, Any, Any]) -> Response[Mapping[str, Any]]:
        return Response(pages.openapi(request.app, operating.contracts), media_type=MediaType.JSON)

    @get("/docs", include_in_schema=False)
    async def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
        body = pages.docs(pages.openapi(request.app, operating.contracts))
        return Response(body, media_type=MediaType.HTML, headers=pages.HEADERS)

    return [
        liveness,
        front,
        _nothing_at_root(operating.contracts),
        ready,
        own_metrics,
        system,
        openapi,
        docs,
        arrivals.handler(operating.contracts),
        *upkeep.handlers(operating.contracts, operating.keeping),
        *dashboard.handlers(app),
    ]
