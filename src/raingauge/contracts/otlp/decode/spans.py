"""Traces to span rows."""

from __future__ import annotations

from typing import Any, Final

from raingauge.contract import Decoded, Reason, Received, Reject
from raingauge.contracts.otlp.attributes import TEXT_MAX_CHARACTERS, text
from raingauge.contracts.otlp.cost import cost_of
from raingauge.contracts.otlp.decode.shared import (
    Clock,
    Labels,
    Tools,
    call_id_of,
    decision_of,
    error_class_of,
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
from raingauge.contracts.otlp.sources import Origin
from raingauge.contracts.otlp.tables import SPANS
from raingauge.contracts.otlp.tokens import tokens_of
from raingauge.contracts.otlp.wire import PROTOBUF, Read, Span, json, protobuf

_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_INT32_END: Final = 2**31


def decode_traces(body: bytes, received: Received) -> Decoded:
    """One row or one reject per span, in wire order. Raises Undecodable for a body that is no request at all."""
    configured = received.settings[REPOSITORY_ATTRIBUTE]
    read: Read[Span] = protobuf.read_spans if received.content_type.startswith(PROTOBUF) else json.read_spans
    people, clock, tools, labels = People(received), Clock(received), Tools(received), Labels(received)
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    for block in read(body, listed(received)):
        origin = Origin(block.resource, block.scope, (record[-1] for record in block.records if record))
        for record in block.records:
            position = len(rows) + len(rejects)
            problem = _problem(record)
            if record is None or problem:
                rejects.append(Reject(Reason.INVALID_FIELD, position, problem, quarantined=True))
                continue
            trace_id, span_id, parent_id, name, kind, start_ns, end_ns, status_code, attributes = record
            time_us, timing = clock.placed(start_ns or end_ns)
            source = origin.source(name, attributes)
            model = model_of(attributes)
            tokens = tokens_of(source, attributes)
            rows.append(
                (
                    position,
                    trace_id,
                    span_id,
                    parent_id if len(parent_id) == 8 else _NO_SPAN,
                    time_us,
                    max(0, end_ns - start_ns) // 1000 if start_ns else 0,
                    name[:TEXT_MAX_CHARACTERS],
                    kind if -_INT32_END <= kind < _INT32_END else 0,
                    source,
                    origin.service,
                    session_of(source, attributes),
                    prompt_of(attributes),
                    people.key(source, attributes),
                    repository_of(attributes, configured),
                    model,
                    tools.name(attributes),
                    *labels.of(attributes),
                    status_of(status_code, attributes),
                    error_class_of(attributes),
                    *decision_of(attributes),
                    query_source_of(attributes),
                    text(attributes.get("agent_id", attributes.get("gen_ai.agent.id"))),
                    text(attributes.get("parent_agent_id")),
                    call_id_of(attributes),
                    *tokens,
                    *cost_of(attributes, tokens, model, time_us),
                    timing,
                )
            )
    return Decoded(len(rows) + len(rejects), {SPANS.name: rows}, rejects, people.named())


def _problem(record: Span | None) -> str:
    """The field that makes a span unusable, or nothing: without its ids it cannot be told from its copies."""
    if record is None:
        return "spans"
    if len(record[0]) != 16 or record[0] == _NO_TRACE:
        return "traceId"
    if len(record[1]) != 8 or record[1] == _NO_SPAN:
        return "spanId"
    return ""
