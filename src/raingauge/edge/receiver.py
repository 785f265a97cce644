"""One request on an ingest route, from its head to its answer.

    method ─▶ admit ─▶ credential ─▶ rates ─▶ daily cap ─▶ queue full? ─▶ size ─▶ body ─▶ decompress ─▶ check
                                                                                                          │
                                       answer in the client's dialect ◀── commit and sync ◀── append ◀────┘

Whatever can be refused without the body is refused before it is read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from raingauge.auth.credential import Credential
from raingauge.auth.parse import presented
from raingauge.contract import Answer, Head, Intake
from raingauge.edge.body import Bodies, Gone, check_declared_size
from raingauge.edge.encoding import decompress, encoding_of
from raingauge.edge.gate import Gate
from raingauge.edge.lost import LostAnswers
from raingauge.edge.ports import Directory, Inbox, Receive
from raingauge.errors import Reason, Refused
from raingauge.metrics import Metrics
from raingauge.queue import Appended, Message
from raingauge.settings import (
    BODIES_MAX_BYTES,
    BODY_MAX_BYTES,
    BODY_MAX_DECOMPRESSED_BYTES,
    BODY_TIMEOUT_SECONDS,
    Settings,
)

INLINE_BYTES: Final = 256 * 1024
"""Bodies up to this size are checked on the event loop (well under a millisecond), larger ones in a thread."""

IDEMPOTENCY_KEY_CHARACTERS: Final = 255

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Request:
    """A request on an ingest route and what was learnt about it; `token` is the one of `/k/<token>`."""

    intake: Intake
    contract: str
    head: Head
    token: str
    client_key: str
    receive: Receive
    credential: Credential | None = None
    customer: str = ""
    size_bytes: int = 0
    refusal: Reason | None = None


class Receiver:
    """Takes requests until they are on disk."""

    def __init__(self, gate: Gate, queue: Inbox, directory: Directory, settings: Settings, metrics: Metrics) -> None:
        self._gate = gate
        self._queue = queue
        self._directory = directory
        self._metrics = metrics
        self._bodies = Bodies(settings[BODY_TIMEOUT_SECONDS], settings[BODIES_MAX_BYTES])
        self._body_max_bytes = settings[BODY_MAX_BYTES]
        self._plain_max_bytes = settings[BODY_MAX_DECOMPRESSED_BYTES]
        self._lost = LostAnswers()
        self._settled: deque[tuple[asyncio.Future[Appended], Appended | BaseException]] = deque()
        self._waking = False
        self._received_bytes: dict[str, Counter] = {}
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="check")

    async def answer(self, request: Request) -> Answer:
        """The answer to send. Raises Gone when nobody waits for it."""
        try:
            return await self.take(request)
        except Refused as refusal:
            return _refused(request, refusal)

    async def take(self, request: Request) -> Answer:
        """The contract's answer once the message is on disk. Raises Refused, and Gone when nobody waits for it."""
        try:
            return await self._accept(request)
        except Refused as refused:
            refusal = refused
        except Gone:
            raise
        except Exception:  # noqa: BLE001 - the last resort: the client gets an answer, we get a log line
            _log.exception("request.failed", intake=request.intake.name)
            refusal = Refused(Reason.INTERNAL, "The server made a mistake; its log says more.")
        request.refusal = refusal.reason
        self._metrics.refused.labels(request.contract, refusal.reason).inc()
        raise refusal

    async def _accept(self, request: Request) -> Answer:
        intake, head = request.intake, request.head
        if head.method not in intake.methods:
            raise Refused(Reason.METHOD_NOT_ALLOWED, f"Use {' or '.join(intake.methods)}.")
        if intake.admit:
            intake.admit(head)
        token = request.token or presented(head.headers)
        request.credential, request.customer = self._gate.owner(intake, token, request.client_key)
        self._gate.check_rates(request.credential, request.client_key)
        if not self._gate.reserve_daily(intake, request.credential):
            return await self._read_and_queue(request)
        accepted = False
        try:
            answer = await self._read_and_queue(request)
            accepted = True
        finally:
            if not accepted and request.credential:
                self._gate.release_daily(intake, request.credential)
        return answer

    async def _read_and_queue(self, request: Request) -> Answer:
        intake, head = request.intake, request.head
        if self._queue.full():
            raise Refused(Reason.QUEUE_FULL, "Too much is waiting to be stored.")
        max_bytes = min(self._body_max_bytes, intake.body_max_bytes or self._body_max_bytes)
        check_declared_size(head.headers, max_bytes)
        encoding = encoding_of(head.headers.get("content-encoding", ""))
        key = head.headers.get("idempotency-key", "")
        if len(key) > IDEMPOTENCY_KEY_CHARACTERS:
            raise Refused(Reason.INVALID_PARAMETER, "The Idempotency-Key is longer than 255 characters.")
        body = await self._bodies.read(request.receive, max_bytes)
        request.size_bytes = len(body)
        try:
            plain = await self._checked(intake, head, body, encoding)
            message = Message(
                intake=intake.name,
                customer=request.customer,
                body=body,
                content_type=head.headers.get("content-type", ""),
                content_encoding=encoding,
                token_label=request.credential.label if request.credential else "",
                idempotency_key=key,
            )
            new = await self._queued(request, message)
        finally:
            self._bodies.release(len(body))
        if request.credential:
            self._directory.touch(request.credential, datetime.now(UTC))
        if new:
            self._count_bytes(request.contract, len(body))
        else:
            self._metrics.repeated.labels(request.contract).inc()
        return intake.dialect.accepted(head, plain)

    async def _checked(self, intake: Intake, head: Head, body: bytes, encoding: str) -> bytes:
        """The body without its encoding, after the contract's look at it."""
        max_bytes = min(self._plain_max_bytes, intake.body_max_bytes or self._plain_max_bytes)
        if len(body) <= INLINE_BYTES:
            try:
                plain = decompress(body, encoding, min(max_bytes, INLINE_BYTES))
            except Refused as refusal:
                if refusal.reason is not Reason.PAYLOAD_TOO_LARGE or max_bytes <= INLINE_BYTES:
                    raise
            else:
                intake.check(head, plain)
                return plain

        def work() -> bytes:
            plain = decompress(body, encoding, max_bytes)
            intake.check(head, plain)
            return plain

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _queued(self, request: Request, message: Message) -> bool:
        """Whether the message is new; when this returns it is on disk."""
        seconds = request.intake.lost_answer_seconds
        if not seconds:
            return await self._commit(message)
        sender = f"{message.intake} {request.credential.token_id if request.credential else message.customer}"
        key = (sender, sha256(message.body).digest())
        if await self._lost.unheard(key):
            return False
        return await self._lost.watched(self._commit(message), request.receive, key, seconds)

    async def _commit(self, message: Message) -> bool:
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[Appended] = loop.create_future()

        def done(result: Appended | BaseException) -> None:
            self._settled.append((committed, result))
            # One wake-up for all messages that shared a commit: it costs a system call, and the loop's attention.
            if not self._waking:
                self._waking = True
                try:
                    loop.call_soon_threadsafe(self._settle)
                except RuntimeError:  # the loop may be closed when the last commits end with the process
                    self._waking = False

        try:
            self._queue.append(message, done)
            return (await committed).new
        except Refused:
            raise
        except Exception:  # noqa: BLE001 - any failure of a disk or a database means "not stored"
            _log.exception("queue.failed", intake=message.intake)
            raise Refused(Reason.QUEUE_FAILED, "The message could not be stored; try again.") from None

    def _settle(self) -> None:
        """Tell everybody who waits. The flag first: what is settled from now on wakes the loop again."""
        self._waking = False
        while self._settled:
            committed, result = self._settled.popleft()
            if committed.done():
                continue
            if isinstance(result, BaseException):
                committed.set_exception(result)
            else:
                committed.set_result(result)

    def _count_bytes(self, contract: str, size_bytes: int) -> None:
        counter = self._received_bytes.get(contract)
        if counter is None:
            counter = self._received_bytes[contract] = self._metrics.received_bytes.labels(contract)
        counter.inc(size_bytes)


def _refused(request: Request, refusal: Refused) -> Answer:
    """The contract's own error answer, with the headers that belong to a reason."""
    try:
        answer = request.intake.dialect.refused(request.head, refusal)
    except Exception:  # noqa: BLE001 - an answer in the wrong shape is better than none
        _log.exception("dialect.failed", intake=request.intake.name)
        answer = json_refusal(refusal)
    extra: list[tuple[str, str]] = []
    if refusal.retry_after_seconds is not None:
        extra.append(("Retry-After", str(refusal.retry_after_seconds)))
    if refusal.reason is Reason.METHOD_NOT_ALLOWED:
        extra.append(("Allow", ", ".join(request.intake.methods)))
    if refusal.reason is Reason.SLOW_BODY:
        extra.append(("Connection", "close"))
    return Answer(answer.status, answer.body, (*answer.headers, *extra)) if extra else answer


def json_refusal(refusal: Refused) -> Answer:
    """The API's error shape."""
    body = {"error": refusal.code, "detail": refusal.detail} if refusal.detail else {"error": refusal.code}
    headers = [("Content-Type", "application/json")]
    if refusal.retry_after_seconds is not None:
        headers.append(("Retry-After", str(refusal.retry_after_seconds)))
    return Answer(refusal.status, msgspec.json.encode({**body, **refusal.extra}), headers)
