"""One request on an ingest route, from its head to its answer.

    method ─▶ admit ─▶ credential ─▶ rates ─▶ daily cap ─▶ queue full? ─▶ size ─▶ body ─▶ decompress ─▶ check
                                                                                                          │
                                       answer in the client's dialect ◀── commit and sync ◀── append ◀────┘

Whatever can be refused without the body is refused before it is read. A body that is there with its head, as most are,
goes the same way without waiting for anything in between (`take_whole`): a task and its events would cost more than all
these steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from raingauge.auth.credential import Credential
from raingauge.auth.parse import presented
from raingauge.contract import Answer, Head, Intake
from raingauge.edge.body import Bodies, Gone, check_declared_size, check_size
from raingauge.edge.encoding import decompress, encoding_of
from raingauge.edge.gate import Gate
from raingauge.edge.lost import LostAnswers, Then
from raingauge.edge.ports import Directory, Inbox, Receive
from raingauge.errors import Reason, Refused
from raingauge.log import error_fields
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
    """A request on an ingest route and what was learnt about it; `token` is the one of `/k/<token>`.

    `is_gone` tells whether its client is known to have closed the connection; it is asked only after the body was read.
    """

    intake: Intake
    contract: str
    head: Head
    token: str
    client_key: str
    is_gone: Callable[[], bool]
    credential: Credential | None = None
    customer: str = ""
    max_bytes: int = 0
    encoding: str = ""
    idempotency_key: str = ""
    is_reserved: bool = False
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
        self._settled: deque[tuple[Then, Message, Appended | BaseException]] = deque()
        self._waking = False
        self._received_bytes: dict[str, Counter] = {}
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="check")

    async def take(self, request: Request, receive: Receive) -> Answer:
        """The contract's answer once the message is on disk. Raises Refused, and Gone when nobody waits for it."""
        try:
            self._admit(request)
            body = await self._bodies.read(receive, request.max_bytes)
            try:
                plain = await self._checked(request, body)
                committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
                self._commit(request, body, partial(_fulfil, committed))
                return self._accepted(request, body, plain, await committed)
            finally:
                self._bodies.release(len(body))
        except Gone:
            self._give_back(request)
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: the client gets an answer, we get a log line
            raise self._refused(request, error) from None

    def take_whole(self, request: Request, body: bytes, then: Callable[[Answer | Refused], None]) -> None:
        """The same for a body that is at hand, not encoded and not larger than INLINE_BYTES.

        `then` is called once, at once or on the event loop.
        """

        def committed(result: bool | Exception) -> None:
            self._bodies.release(len(body))
            if isinstance(result, Exception):
                then(self._refused(request, result))
                return
            try:
                answer = self._accepted(request, body, body, result)
            except Exception as error:  # noqa: BLE001 - as above
                then(self._refused(request, error))
            else:
                then(answer)

        try:
            self._admit(request)
            check_size(len(body), request.max_bytes)
            request.size_bytes = len(body)
            request.intake.check(request.head, body)
            self._bodies.hold(len(body))
        except Exception as error:  # noqa: BLE001 - as above
            then(self._refused(request, error))
        else:
            self._commit(request, body, committed)

    def answer(self, request: Request, outcome: Answer | Refused) -> Answer:
        """A refusal as the contract says it, with the headers that belong to its reason."""
        if isinstance(outcome, Answer):
            return outcome
        try:
            answer = request.intake.dialect.refused(request.head, outcome)
        except Exception:  # noqa: BLE001 - an answer in the wrong shape is better than none
            _log.exception("dialect.failed", intake=request.intake.name)
            answer = json_refusal(outcome)
        extra: list[tuple[str, str]] = []
        if outcome.retry_after_seconds is not None:
            extra.append(("Retry-After", str(outcome.retry_after_seconds)))
        if outcome.reason is Reason.METHOD_NOT_ALLOWED:
            extra.append(("Allow", ", ".join(request.intake.methods)))
        if outcome.reason is Reason.SLOW_BODY:
            extra.append(("Connection", "close"))
        return Answer(answer.status, answer.body, (*answer.headers, *extra)) if extra else answer

    def _admit(self, request: Request) -> None:
        """Everything that can be said without the body."""
        intake, head = request.intake, request.head
        headers = head.headers
        if head.method not in intake.methods:
            raise Refused(Reason.METHOD_NOT_ALLOWED, f"Use {' or '.join(intake.methods)}.")
        if intake.admit:
            intake.admit(head)
        token = request.token or presented(headers)
        request.credential, request.customer = self._gate.owner(intake, token, request.client_key)
        self._gate.check_rates(request.credential, request.client_key)
        request.is_reserved = self._gate.reserve_daily(intake, request.credential)
        if self._queue.full():
            raise Refused(Reason.QUEUE_FULL, "Too much is waiting to be stored.")
        request.max_bytes = min(self._body_max_bytes, intake.body_max_bytes or self._body_max_bytes)
        check_declared_size(headers, request.max_bytes)
        request.encoding = encoding_of(headers.get("content-encoding", ""))
        request.idempotency_key = headers.get("idempotency-key", "")
        if len(request.idempotency_key) > IDEMPOTENCY_KEY_CHARACTERS:
            raise Refused(Reason.INVALID_PARAMETER, "The Idempotency-Key is longer than 255 characters.")

    async def _checked(self, request: Request, body: bytes) -> bytes:
        """The body without its encoding, after the contract's look at it."""
        intake, head, encoding = request.intake, request.head, request.encoding
        request.size_bytes = len(body)
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

    def _commit(self, request: Request, body: bytes, then: Then) -> None:
        """Have the message written; `then` is called when it is on disk."""
        credential, head = request.credential, request.head
        message = Message(
            intake=request.intake.name,
            customer=request.customer,
            body=body,
            content_type=head.headers.get("content-type", ""),
            content_encoding=request.encoding,
            token_label=credential.label if credential else "",
            idempotency_key=request.idempotency_key,
        )
        seconds = request.intake.lost_answer_seconds
        if seconds:
            sender = f"{message.intake} {credential.token_id if credential else message.customer}"
            key = (sender, sha256(body).digest())
            self._lost.commit(key, seconds, partial(self._append, message), request.is_gone, then)
        else:
            self._append(message, then)

    def _append(self, message: Message, then: Then) -> None:
        loop = asyncio.get_running_loop()

        def done(result: Appended | BaseException) -> None:
            self._settled.append((then, message, result))
            # One wake-up for all messages that shared a commit: it costs a system call, and the loop's attention.
            if not self._waking:
                self._waking = True
                try:
                    loop.call_soon_threadsafe(self._settle)
                except RuntimeError:  # the loop may be closed when the last commits end with the process
                    self._waking = False

        self._queue.append(message, done)

    def _settle(self) -> None:
        """Tell everybody who waits. The flag first: what is settled from now on wakes the loop again."""
        self._waking = False
        while self._settled:
            then, message, result = self._settled.popleft()
            if isinstance(result, Appended):
                then(result.new)
            elif isinstance(result, Refused):
                then(result)
            else:
                _log.error("queue.failed", intake=message.intake, **error_fields(result))
                then(Refused(Reason.QUEUE_FAILED, "The message could not be stored; try again."))

    def _accepted(self, request: Request, body: bytes, plain: bytes, new: bool) -> Answer:
        if request.credential:
            self._directory.touch(request.credential, datetime.now(UTC))
        if new:
            self._count_bytes(request.contract, len(body))
        else:
            self._metrics.repeated.labels(request.contract).inc()
        return request.intake.dialect.accepted(request.head, plain)

    def _refused(self, request: Request, error: Exception) -> Refused:
        """What a request that failed is told."""
        self._give_back(request)
        refusal = error if isinstance(error, Refused) else None
        if refusal is None:
            _log.error("request.failed", intake=request.intake.name, **error_fields(error))
            refusal = Refused(Reason.INTERNAL, "The server made a mistake; its log says more.")
        if refusal.retry_after_seconds and request.intake.retry_after_max_seconds:
            refusal.retry_after_seconds = min(refusal.retry_after_seconds, request.intake.retry_after_max_seconds)
        request.refusal = refusal.reason
        self._metrics.refused.labels(request.contract, refusal.reason).inc()
        return refusal

    def _give_back(self, request: Request) -> None:
        if request.is_reserved and request.credential:
            self._gate.release_daily(request.intake, request.credential)

    def _count_bytes(self, contract: str, size_bytes: int) -> None:
        counter = self._received_bytes.get(contract)
        if counter is None:
            counter = self._received_bytes[contract] = self._metrics.received_bytes.labels(contract)
        counter.inc(size_bytes)


def _fulfil(committed: asyncio.Future[bool], result: bool | Exception) -> None:
    if committed.done():
        return
    if isinstance(result, Exception):
        committed.set_exception(result)
    else:
        committed.set_result(result)


def json_refusal(refusal: Refused) -> Answer:
    """The API's error shape."""
    body = {"error": refusal.code, "detail": refusal.detail} if refusal.detail else {"error": refusal.code}
    headers = [("Content-Type", "application/json")]
    if refusal.retry_after_seconds is not None:
        headers.append(("Retry-After", str(refusal.retry_after_seconds)))
    return Answer(refusal.status, msgspec.json.encode({**body, **refusal.extra}), headers)
