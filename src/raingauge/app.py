"""The server: an open system behind the edge, as one ASGI application.

lifespan.startup ▶ System.open, start, first start ▶ requests ▶ lifespan.shutdown ▶ drain, close
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import structlog

from raingauge import __version__
from raingauge import log as logs
from raingauge.auth.credential import Credential
from raingauge.contract import Scope
from raingauge.contracts import CONTRACTS
from raingauge.control import customers, tokens
from raingauge.edge.ports import ASGIApp, Receive, Send
from raingauge.edge.ports import Scope as AsgiScope
from raingauge.edge.server import Edge
from raingauge.errors import RaingaugeError
from raingauge.settings import HOST, PORT, PUBLIC_URL, READERS, Settings
from raingauge.system import System, utc_now
from raingauge.web import api, report
from raingauge.web.facts import Services
from raingauge.web.operation import Operating

log = structlog.get_logger()


class Application:
    """Opens the system when the server starts and closes it when the server stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: ASGIApp | None = None
        self._system: System | None = None
        self._executor = ThreadPoolExecutor(settings[READERS] + 2, thread_name_prefix="read")

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.to_thread(self._open)
        except RaingaugeError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        system = System.open(self._settings)
        try:
            system.start()
            greet(system)
            self._app = build(system, self._executor)
        except BaseException:
            system.close()
            raise
        self._system = system
        log.info("serving", action="server.started", version=__version__, data_dir=str(self._settings.data_dir))

    def _close(self) -> None:
        if self._system is not None:
            self._system.close()
        self._executor.shutdown()
        log.info("stopped", action="server.stopped")


def build(system: System, executor: ThreadPoolExecutor) -> Edge:
    """The edge and the API over an open system."""
    services = Services(
        system.settings, system.store.reader, system.store.writer, system.queue, system.people, executor, utc_now
    )

    def system_report(credential: Credential) -> report.SystemReport:
        return report.of(system, credential)

    operating = Operating(CONTRACTS, system.metrics, system.problems, system_report, lambda: base_url(system.settings))
    return Edge(
        intakes=[intake for contract in CONTRACTS for intake in contract.intakes],
        queue=system.queue,
        directory=system.directory,
        settings=system.settings,
        api=api.build(CONTRACTS, services, operating),
        metrics=system.metrics,
    )


def base_url(settings: Settings) -> str:
    """Where clients reach this server, without a slash at the end."""
    return settings[PUBLIC_URL].rstrip("/") or f"http://{settings[HOST]}:{settings[PORT]}"


def greet(system: System) -> None:
    """On a data directory's first start: a customer `default` with a token that is shown this once."""
    now = utc_now()
    with system.database.write() as db:
        if customers.listed(db):
            return
        customer = customers.create(db, "default", now=now)
        issued = tokens.issue(db, customer.customer_id, label="first start", scopes=list(Scope), now=now)
    system.directory.refresh()
    url = base_url(system.settings)
    sys.stdout.write(
        f"\nA new data directory: {system.settings.data_dir}\n"
        f"Customer ID:  {customer.customer_id}\n"
        f"Bearer Token: {issued.text}\n"
        "The token is shown only now. It may send, read and administer.\n\n"
        f"  curl -sS {url}/v1/stats -H 'Authorization: Bearer {issued.text}'\n\n"
    )
    sys.stdout.flush()


def serve(settings: Settings) -> None:
    """Run the server until SIGTERM. Exits the process."""
    from raingauge.edge.serve import run  # noqa: PLC0415

    logs.configure(settings)
    run(lambda: Application(settings), settings)
