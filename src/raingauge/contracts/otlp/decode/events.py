"""Logs to event rows, and to one more row for each decision about a tool call."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from raingauge.contract import Decoded, Reason, Received, Reject
from raingauge.contracts.otlp.attributes import Attributes, label, number, text
from raingauge.contracts.otlp.cost import NONE, cost_of
from raingauge.contracts.otlp.decode.shared import (
    Clock,
    Labels,
    Tools,
    call_id_of,
    decision_of,
    error_class_of,
    hash64,
    listed,
    model_of,
    prompt_of,
    query_source_of,
    session_of,
    status_of,
)
from raingauge.contracts.otlp.knobs import REPOSITORY_ATTRIBUTE
from raingauge.contracts.otlp.people import People
from raingauge.contracts.otlp.repository import repository_of
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
        self._repository_attribute = received.settings[REPOSITORY_ATTRIBUTE]
        self._people, self._clock, self._tools = People(received), Clock(received), Tools(received)
        self._labels = Labels(received)
        self._copies: Counter[str] = Counter()
        self._events: list[tuple[Any, ...]] = []
        self._decisions: list[tuple[Any, ...]] = []
        self._rejects: list[Reject] = []

    def add(self, block: Block[Log]) -> None:
        origin = Origin(block.resource, block.scope, (record[-1] for record in block.records if record))
        for log in block.records:
            position = len(self._events) + len(self._rejects)
            if log is None:
                self._rejects.append(Reject(Reason.INVALID_FIELD, position, "logRecords", quarantined=True))
            else:
                self._add(position, origin, f"{block.all_attributes}\n{block.scope}", log)

    def decoded(self) -> Decoded:
        rows = {EVENTS.name: self._events, TOOL_DECISIONS.name: self._decisions}
        return Decoded(len(self._events) + len(self._rejects), rows, self._rejects, self._people.named())

    def _add(self, position: int, origin: Origin, stream: str, log: Log) -> None:
        attributes = log.attributes
        given = given_name(log)
        source = origin.source(given, attributes)
        name = event_name(source, given, attributes)
        time_us, timing = self._clock.placed(log.time_ns)
        trace_id = log.trace_id if len(log.trace_id) == 16 else _NO_TRACE
        duration_ms = number(attributes.get("duration_ms")) or 0.0
        model = model_of(attributes)
        tokens = tokens_of(source, attributes)
        cost: tuple[float, str] = 0.0, NONE
        if name in SPEND_EVENTS.get(source, (name,)):
            cost = cost_of(attributes, tokens, model, time_us)
        else:
            tokens = NO_TOKENS
        who = (
            source,
            origin.service,
            session_of(source, attributes),
            prompt_of(attributes),
            self._people.key(source, attributes),
            repository_of(attributes, self._repository_attribute),
            model,
            self._tools.name(attributes),
            *self._labels.of(attributes),
        )
        outcome = (
            status_of(0, attributes) or ("error" if log.severity >= _SEVERITY_ERROR or name.endswith("error") else ""),
            error_class_of(attributes),
            *decision_of(attributes),
            query_source_of(attributes),
            text(attributes.get("agent_id", attributes.get("gen_ai.agent.id"))),
            text(attributes.get("parent_agent_id")),
            call_id_of(attributes),
        )
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
                *tokens,
                *cost,
                timing,
            )
        )
        if name in _DECISIONS and "decision" in attributes:
            self._decisions.append((position, event_id, time_us, trace_id, *who, *outcome, timing))

    def _identity(self, name: str, stream: str, log: Log) -> str:
        """What tells this record from every other one and is the same when it is sent again."""
        get = log.attributes.get
        if event := text(get("cursor.event.id")):
            return event
        sequence, session = text(get("event.sequence")), text(get("session.id"))
        if sequence and session:
            return f"{session}\n{sequence}\n{text(get('event.timestamp')) or log.time_ns}\n{name}"
        # Without a counter two equal records may both be meant: they are told apart by their order in the message.
        content = (
            f"{stream}\n{log.time_ns}\n{name}\n{log.body}\n{log.severity}\n{log.span_id.hex()}\n{log.all_attributes}"
        )
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
