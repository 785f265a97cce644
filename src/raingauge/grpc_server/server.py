"""The gRPC server, on the event loop of the HTTP server: a call goes through the same receiver as a POST.

    call ─▶ metadata ─▶ Receiver.take (credential ─▶ rates ─▶ queue full? ─▶ read ─▶ check ─▶ commit) ─▶ response
                            │ Refused
                            └─▶ status code (status.py)

One loop and not a thread pool: the gate and the receiver count in plain memory without locks, and a call that waits for
its commit must not hold a thread. gRPC decompresses by itself; it bounds what comes out like what comes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final

import grpc
import structlog

from raingauge.contract import Head, Intake
from raingauge.edge.body import Gone, is_gone
from raingauge.edge.receiver import Request
from raingauge.edge.server import CLIENT_GONE, Edge
from raingauge.errors import Refused, SettingError
from raingauge.grpc_server.call import Call
from raingauge.grpc_server.status import ending
from raingauge.settings import BODIES_MAX_BYTES, BODY_MAX_BYTES, GRPC_PORT, HOST, Settings

STREAMS_MAX: Final = 128
"""Calls that one connection may have open; clients queue further ones."""

FINISH_SECONDS: Final = 1.0
"""How long a stop waits for calls in flight: one that has its message needs a commit, a few milliseconds."""

_log = structlog.get_logger(__name__)


class GrpcServer:
    """Takes unary calls of every intake that names a gRPC method."""

    def __init__(self, edge: Edge, intakes: Sequence[Intake], settings: Settings) -> None:
        self._edge = edge
        body_max_bytes = settings[BODY_MAX_BYTES]
        # Each read may take up to a whole body of memory before anything can be counted.
        self._reads = asyncio.Semaphore(max(1, settings[BODIES_MAX_BYTES] // body_max_bytes))
        host, self._port = settings[HOST], settings[GRPC_PORT]
        self._address = f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"
        self._calls: set[asyncio.Task[bytes]] = set()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", body_max_bytes),
                ("grpc.max_concurrent_streams", STREAMS_MAX),
                # Two servers on one port would each get some of the calls.
                ("grpc.so_reuseport", 0),
            ]
        )
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    service, {method: grpc.stream_unary_rpc_method_handler(partial(self._serve, intake))}
                )
                for intake in intakes
                if intake.grpc_method
                for service, method in [intake.grpc_method.removeprefix("/").split("/")]
            ]
        )

    async def start(self) -> None:
        """Raises SettingError when the port cannot be used."""
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise SettingError(f"{GRPC_PORT.env}={self._port}: cannot listen on {self._address}") from None
        await self._server.start()
        _log.info("grpc", action="grpc.started", address=self._address)

    async def stop(self) -> None:
        """Take no new calls, finish those in flight."""
        await self._server.stop(FINISH_SECONDS)
        if self._calls:
            await asyncio.wait(self._calls, timeout=FINISH_SECONDS)

    async def _serve(self, intake: Intake, _messages: object, context: Any) -> bytes:
        call = Call(context, self._reads)
        # A client that goes away cancels this coroutine, but not the commit: whether it happened must be known.
        work = asyncio.ensure_future(self._take(intake, call))
        self._calls.add(work)
        work.add_done_callback(self._calls.discard)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            call.leave()
            work.add_done_callback(_forget)
            raise
        except Refused as refusal:
            await context.abort(*ending(refusal))
        except Gone:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call ended before its message was complete.")
        raise AssertionError("abort always raises")

    async def _take(self, intake: Intake, call: Call) -> bytes:
        """The response message, once the request message is on disk. Raises Refused or Gone."""
        started = perf_counter()
        contract = intake.name.partition(".")[0]
        head = Head("POST", intake.path, "", call.headers)
        client_key = self._edge.addresses.client_key(call.scope)
        request = Request(intake, contract, head, "", client_key, partial(is_gone, call.receive))
        status = CLIENT_GONE
        try:
            answer = await self._edge.receiver.take(request, call.receive)
            status = answer.status
        except Refused as refusal:
            status = refusal.status
            raise
        finally:
            self._edge.note(
                head.method,
                contract,
                intake.grpc_method,
                status,
                started,
                bytes_in=request.size_bytes,
                customer=request.customer,
                reason=request.refusal or "",
            )
        return answer.body


def _forget(work: asyncio.Task[bytes]) -> None:
    """Take note of how it ended, since nobody else will."""
    if not work.cancelled():
        work.exception()
