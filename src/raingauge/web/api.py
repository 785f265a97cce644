"""The litestar application: every route that is not an ingest route.

edge ──scope["state"]["credential"]──▶ dependencies: facts, window ──▶ handlers of contracts and of the spine
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from litestar import Litestar, Request
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from raingauge import __version__
from raingauge.contract import Contract, Facts, Reason, Refused, Scope, Window
from raingauge.settings import QUERY_MAX_ROWS
from raingauge.web import account, erasure, management, operation, parameters, prometheus
from raingauge.web.account import Accounts
from raingauge.web.facts import CustomerFacts, Services
from raingauge.web.shape import ApiResponse, answer_error, credential_of

COMPRESSED_FROM_BYTES = 16 * 1024
"""Smaller answers are sent as they are; those that carry a new secret are far smaller."""


def build(
    contracts: Sequence[Contract], services: Services, operating: operation.Operating, accounts: Accounts
) -> Litestar:
    """The API over open services. `operating` is what the operation pages show, `accounts` what signing in works on."""

    async def facts(request: Request[Any, Any, Any]) -> Facts:
        credential = credential_of(request)
        handler = request.scope.get("route_handler")
        options = handler.opt if handler is not None else {}
        needed = options.get("scope", Scope.READ)
        if not credential.may(needed):
            raise Refused(Reason.FORBIDDEN, f"this token lacks the scope {needed}")
        if needed is Scope.ADMIN and (reserved := options.get("customer")):
            if not accounts.directory.operates(credential):
                raise Refused(Reason.FORBIDDEN, "only admins of the first customer may look at the installation")
            credential = replace(credential, customer=reserved)
        return CustomerFacts(services, credential)

    async def window(
        since: parameters.Since = parameters.DEFAULT_SINCE,
        until: parameters.Until = "",
        limit: parameters.Limit = parameters.DEFAULT_LIMIT,
    ) -> Window:
        return parameters.window(services.clock(), services.settings[QUERY_MAX_ROWS], since, until, limit)

    handlers = [handler for contract in contracts for handler in contract.handlers]
    return Litestar(
        route_handlers=[
            *handlers,
            prometheus.metrics_handler(contracts),
            *operation.handlers(operating),
            account.router(),
            management.router(),
            erasure.router(operating.erasing),
        ],
        dependencies={
            "facts": Provide(facts),
            "window": Provide(window),
            "accounts": Provide(lambda: accounts, sync_to_thread=False),
        },
        exception_handlers={Exception: answer_error},
        response_class=ApiResponse,
        # Answers repeat their member names: the fastest level makes a tree of 50,000 spans 30 times smaller. The
        # dashboard's own files are stored compressed.
        compression_config=CompressionConfig(
            "gzip", minimum_size=COMPRESSED_FROM_BYTES, gzip_compress_level=1, exclude="^/assets/"
        ),
        openapi_config=OpenAPIConfig(
            title="Raingauge",
            version=__version__,
            description="Reads of a self-hosted telemetry receiver. All of them see the caller's own customer only.",
            # The document itself is served by the operation pages, with the ingest routes added.
            path="/-/openapi",
            render_plugins=[JsonRenderPlugin()],
            use_handler_docstrings=True,
        ),
        debug=False,
        logging_config=None,
    )
