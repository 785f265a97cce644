"""The server: an open system behind the edge, as one ASGI application.

lifespan.startup ▶ System.open, start, first start ▶ requests ▶ lifespan.shutdown ▶ drain, close
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import structlog

from raingauge import __version__
from raingauge.address import announce, withdraw
from raingauge.auth.credential import Credential
from raingauge.auth.visitors import Visitors
from raingauge.contract import Scope
from raingauge.contracts import CONTRACTS
from raingauge.control import customers, links, tokens
from raingauge.control.sessions import Owner
from raingauge.edge.limits import Rate
from raingauge.edge.ports import ASGIApp, Receive, Reply, Send
from raingauge.edge.ports import Scope as AsgiScope
from raingauge.edge.server import Edge
from raingauge.errors import RaingaugeError, SettingError
from raingauge.settings import FAILED_AUTH_PER_IP, GRPC_PORT, READERS, SIGNIN_LINK_SECONDS, Settings
from raingauge.system import System, utc_now
from raingauge.web import api, report
from raingauge.web.account import Accounts
from raingauge.web.erasure import Erasing
from raingauge.web.facts import Services
from raingauge.web.operation import Operating
from raingauge.web.upkeep import Keeping

if TYPE_CHECKING:
    from raingauge.grpc_server.server import GrpcServer

log = structlog.get_logger()


class Application:
    """Opens the system when the server starts and closes it when the server stops."""

    def __init__(self, settings: Settings, base_url: str, *, sign_in_link: bool = True) -> None:
        """`base_url` is where clients reach this server, without a slash at the end.

        `sign_in_link` False leaves the first start's link to somebody else.
        """
        self._settings = settings
        self._base_url = base_url
        self._sign_in_link = sign_in_link
        self._app: Edge | None = None
        self._system: System | None = None
        self._executor = ThreadPoolExecutor(settings[READERS] + 2, thread_name_prefix="read")

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    def answer_whole(self, scope: AsgiScope, body: bytes, is_gone: Callable[[], bool], reply: Reply) -> bool:
        """See `Edge.answer_whole`."""
        return self._app is not None and self._app.answer_whole(scope, body, is_gone, reply)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.to_thread(self._open)
            grpc_server = await self._open_grpc()
        except RaingaugeError as error:
            await asyncio.to_thread(self._close)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if grpc_server:
            await grpc_server.stop()
        await asyncio.to_thread(self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        system = System.open(self._settings)
        try:
            system.start()
            greet(system, self._base_url, self._sign_in_link)
            announce(self._settings.data_dir, self._base_url)
            self._app = build(system, self._executor, self._base_url)
        except BaseException:
            system.close()
            raise
        self._system = system
        log.info("serving", action="server.started", version=__version__, data_dir=str(self._settings.data_dir))

    async def _open_grpc(self) -> GrpcServer | None:
        """The gRPC server when its port is set. Raises SettingError."""
        if not self._settings[GRPC_PORT] or self._app is None:
            return None
        try:
            from raingauge.grpc_server.server import GrpcServer  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as missing:
            raise SettingError(
                f"{GRPC_PORT.env}={self._settings[GRPC_PORT]} needs {missing.name}: pip install 'raingauge[grpc]'"
            ) from None
        intakes = [intake for contract in CONTRACTS for intake in contract.intakes]
        server = GrpcServer(self._app, intakes, self._settings)
        await server.start()
        return server

    def _close(self) -> None:
        if self._system is not None:
            withdraw(self._settings.data_dir)
            self._system.close()
        self._executor.shutdown()
        log.info("stopped", action="server.stopped")


def build(system: System, executor: ThreadPoolExecutor, base_url: str) -> Edge:
    """The edge and the API over an open system."""
    services = Services(
        settings=system.settings,
        reader=system.store.reader,
        writer=system.store.writer,
        queue=system.queue,
        people=system.people,
        executor=executor,
        query_seconds=system.metrics.query_seconds,
        clock=utc_now,
    )

    def system_report(credential: Credential) -> report.SystemReport:
        return report.of(system, credential)

    visitors = Visitors(system.directory, system.settings)
    accounts = Accounts(
        settings=system.settings,
        database=system.database,
        directory=system.directory,
        visitors=visitors,
        connections={one.client: one for contract in CONTRACTS for one in contract.connections},
        failures=Rate(system.settings[FAILED_AUTH_PER_IP]),
        clock=utc_now,
    )
    keeping = Keeping(system.queue, system.settings, system.directory.operates)
    erasing = Erasing(system.people.listed, system.forget, system.erase_customer)
    operating = Operating(CONTRACTS, system.metrics, system.problems, system_report, base_url, keeping, erasing)
    edge = Edge(
        intakes=[intake for contract in CONTRACTS for intake in contract.intakes],
        queue=system.queue,
        directory=system.directory,
        settings=system.settings,
        api=cast(ASGIApp, api.build(CONTRACTS, services, operating, accounts)),
        metrics=system.metrics,
        visitors=visitors,
    )
    count_last_day(system, edge)
    return edge


def count_last_day(system: System, edge: Edge) -> None:
    """A restart forgives nothing: caps of 24 hours begin with what is stored of the last 24."""
    since = utc_now() - timedelta(days=1)
    capped = [intake for contract in CONTRACTS for intake in contract.intakes if intake.daily_cap]
    for customer in system.directory.customers():
        for intake in capped:
            if intake.daily_cap and intake.daily_cap(customer.tier) is not None:
                counts = system.store.reader.received_by_minute(intake.daily_table, customer.customer_id, since)
                edge.seed_daily(intake.name, customer.customer_id, counts)


def greet(system: System, base_url: str, sign_in_link: bool) -> None:
    """On a data directory's first start: a customer `default` with a token that is shown this once."""
    now = utc_now()
    with system.database.write() as db:
        if customers.listed(db):
            return
        customer = customers.create(db, "default", now=now)
        issued = tokens.issue(db, customer.customer_id, label="first start", scopes=list(Scope), now=now)
        link = ""
        if sign_in_link:
            seconds = system.settings[SIGNIN_LINK_SECONDS]
            owner = Owner(token_id=issued.record.token_id)
            code = links.issue(db, owner, lifetime=timedelta(seconds=seconds), now=now)
            link = (
                f"Sign in:      {links.address(base_url, code)}\n"
                f"The link works once, within {seconds / 60:g} minutes; `raingauge signin-link --email you@example.com` "
                "makes another.\n\n"
            )
    system.directory.refresh()
    sys.stdout.write(
        f"\nA new data directory: {system.settings.data_dir}\n"
        f"Customer ID:  {customer.customer_id}\n"
        f"Bearer Token: {issued.text}\n"
        "The token is shown only now. It may send, read and administer.\n\n"
        f"{link}"
        f"  curl -sS {base_url}/v1/stats -H 'Authorization: Bearer {issued.text}'\n\n"
    )
    sys.stdout.flush()
