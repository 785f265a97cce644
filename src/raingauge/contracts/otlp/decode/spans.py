"""Traces to span rows."""

from __future__ import annotations

from typing import Any, Final

from raingauge.contract import Decoded, Reason, Received, Reject
from raingauge.contracts.otlp.attributes import TEXT_MAX_CHARACTERS, Attributes
from raingauge.contracts.otlp.cost import cost_of
from raingauge.contracts.otlp.decode.repeated import Repeated
from raingauge.contracts.otlp.decode.shared import (
    Clock,
    Who,
    call_id_of,
    configured,
    listed,
    model_of,
    outcome_of,
    status_of,
)
from raingauge.contracts.otlp.people import People
from raingauge.contracts.otlp.sources import Origin, Source
from raingauge.contracts.otlp.tables import SPANS
from raingauge.contracts.otlp.tokens import tokens_of
from raingauge.contracts.otlp.wire import PROTOBUF, Read, Span, json, protobuf

_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_INT32_END: Final = 2**31


def decode_traces(body: bytes, received: Received) -> Decoded:
    """One row or one reject per span, in wire order. Raises Undecodable for a body that is no request at all."""
    read: Read[Span] = protobuf.read_spans if received.content_type.startswith(PROTOBUF) else json.read_spans
    people, clock = People(received), Clock(received)
    traits = Repeated(_Traits(received, people).of, *configured(received))
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
            source, model, columns = traits.of(attributes, origin, name, status_code)
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
                    *columns,
                    call_id_of(attributes),
                    *tokens,
                    *cost_of(attributes, tokens, model, time_us),
                    timing,
                )
            )
    return Decoded(len(rows) + len(rejects), {SPANS.name: rows}, rejects, people.named())


class _Traits:
    """What a span says besides ids, counts and times: source, model, and the columns from `source` on."""

    def __init__(self, received: Received, people: People) -> None:
        self._who = Who(received, people)

    def of(self, attributes: Attributes, origin: Origin, name: str, code: int) -> tuple[Source, str, tuple[str, ...]]:
        source, model = origin.source(name, attributes), model_of(attributes)
        who = self._who.of(source, origin.service, model, attributes)
        return source, model, (*who, *outcome_of(status_of(code, attributes), attributes))


def _problem(record: Span | None) -> str:
    """The field that makes a span unusable, or nothing: without its ids it cannot be told from its copies."""
    if record is None:
        return "spans"
    if len(record[0]) != 16 or record[0] == _NO_TRACE:
        return "traceId"
    if len(record[1]) != 8 or record[1] == _NO_SPAN:
        return "spanId"
    return ""
