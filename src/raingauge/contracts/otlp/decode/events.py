"""Logs to event rows, and to one more row for each decision about a tool call."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from raingauge.contract import Decoded, Reason, Received, Reject
from raingauge.contracts.otlp.attributes import Attributes, label, number, text
from raingauge.contracts.otlp.cost import NONE, cost_of
from raingauge.contracts.otlp.decode.repeated import Repeated
from raingauge.contracts.otlp.decode.shared import (
    Clock,
    Who,
    call_id_of,
    configured,
    hash64,
    listed,
    model_of,
    outcome_of,
    status_of,
)
from raingauge.contracts.otlp.people import People
from raingauge.contracts.otlp.sources import PREFIXES, Origin, Source
from raingauge.contracts.otlp.spend import SPEND_EVENTS, unprefixed
from raingauge.contracts.otlp.tables import EVENTS, TOOL_DECISIONS
from raingauge.contracts.otlp.tokens import NO_TOKENS, tokens_of
from raingauge.contracts.otlp.wire import PROTOBUF, Block, Log, Read, json, protobuf

_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_SEVERITY_ERROR: Final = 17
_DECISIONS: Final = frozenset({"tool_decision", "tool_call"})
_DURATION_MAX_MS: Final = 10**13


def decode_logs(body: bytes, received: Received) -> Decoded:
    """One event or one reject per record, in wire order. Raises Undecodable for a body that is no request at all."""
    read: Read[Log] = protobuf.read_logs if received.content_type.startswith(PROTOBUF) else json.read_logs
    rows_of = _Events(received)
    for block in read(body, listed(received)):
        rows_of.add(block)
    return rows_of.decoded()


class _Events:
    def __init__(self, received: Received) -> None:
        self._identity_key = received.identity_key
        self._people, self._clock = People(received), Clock(received)
        self._who = Who(received, self._people)
        self._traits = Repeated(self._derived, *configured(received))
        self._copies: Counter[str] = Counter()
        self._events: list[tuple[Any, ...]] = []
        self._decisions: list[tuple[Any, ...]] = []
        self._rejects: list[Reject] = []

    def add(self, block: Block[Log]) -> None:
        origin = Origin(block.resource, block.scope, (record[-1] for record in block.records if record))
        stream = f"{block.all_attributes}\n{block.scope}"
        for log in block.records:
            position = len(self._events) + len(self._rejects)
            if log is None:
                self._rejects.append(Reject(Reason.INVALID_FIELD, position, "logRecords", quarantined=True))
            else:
                self._add(position, origin, stream, log)

    def decoded(self) -> Decoded:
        rows = {EVENTS.name: self._events, TOOL_DECISIONS.name: self._decisions}
        return Decoded(len(self._events) + len(self._rejects), rows, self._rejects, self._people.named())

    def _add(self, position: int, origin: Origin, stream: str, log: Log) -> None:
        attributes = log.attributes
        given = given_name(log)
        source, name, who, outcome = self._traits.of(attributes, origin, given, log.severity >= _SEVERITY_ERROR)
        time_us, timing = self._clock.placed(log.time_ns)
        trace_id = log.trace_id if len(log.trace_id) == 16 else _NO_TRACE
        duration_ms = number(attributes.get("duration_ms")) or 0.0
        tokens, cost = NO_TOKENS, (0.0, NONE)
        if name in SPEND_EVENTS.get(source, (name,)):
            tokens = tokens_of(source, attributes)
            cost = cost_of(attributes, tokens, model_of(attributes), time_us)
        call_id = call_id_of(attributes)
        event_id = hash64(self._identity(name, stream, log), self._identity_key)
        self._events.append(
            (
                position,
                event_id,
                time_us,
                name,
                trace_id,
                log.span_id if len(log.span_id) == 8 else _NO_SPAN,
                int(min(max(duration_ms, 0.0), _DURATION_MAX_MS) * 1000),
                *who,
                *outcome,
                call_id,
                *tokens,
                *cost,
                timing,
            )
        )
        if name in _DECISIONS and "decision" in attributes:
            self._decisions.append((position, event_id, time_us, trace_id, *who, *outcome, call_id, timing))

    def _derived(
        self, attributes: Attributes, origin: Origin, given: str, failed: bool
    ) -> tuple[Source, str, tuple[str, ...], tuple[str, ...]]:
        """Source, stored name, and the columns of both kinds of rows."""
        source = origin.source(given, attributes)
        name = event_name(source, given, attributes)
        status = status_of(0, attributes) or ("error" if failed or name.endswith("error") else "")
        who = self._who.of(source, origin.service, model_of(attributes), attributes)
        return source, name, who, outcome_of(status, attributes)

    def _identity(self, name: str, stream: str, log: Log) -> str:
        """What tells this record from every other one and is the same when it is sent again."""
        get = log.attributes.get
        if event := text(get("cursor.event.id")):
            return event
        sequence, session = text(get("event.sequence")), text(get("session.id"))
        if sequence and session:
            return f"{session}\n{sequence}\n{text(get('event.timestamp')) or log.time_ns}\n{name}"
        # Without a counter two equal records may both be meant: they are told apart by their order in the message.
        place = f"{stream}\n{log.time_ns}\n{name}\n{log.body}\n{log.severity}\n{log.span_id.hex()}"
        content = f"{place}\n{log.all_attributes()}"
        self._copies[content] += 1
        return f"{content}\n{self._copies[content]}"


def given_name(log: Log) -> str:
    """The name as the sender wrote it. A body is believed only when it begins with a producer's prefix."""
    body = log.body if label(log.body) and log.body[: log.body.find(".") + 1] in PREFIXES else ""
    attribute = text(log.attributes.get("event.name"))
    if attribute and body.endswith(f".{attribute}"):
        return body
    return log.event_name or attribute or body


def event_name(source: Source, given: str, attributes: Attributes) -> str:
    """The stored name: without its producer's prefix, and empty when it reads like free text."""
    if found := label(unprefixed(given)):
        return found
    return _codex_name(attributes) if source is Source.CODEX else ""


def _codex_name(attributes: Attributes) -> str:
    """Some releases of Codex put a place in their source code where the name belongs."""
    if "input_token_count" in attributes or "output_token_count" in attributes:
        return "sse_event"
    if "decision" in attributes:
        return "tool_decision"
    if "tool_name" in attributes and "success" in attributes:
        return "tool_result"
    return "user_prompt" if "prompt_length" in attributes else ""
