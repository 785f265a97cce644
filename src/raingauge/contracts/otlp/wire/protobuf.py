"""OTLP in binary protobuf, read with the generated classes of `opentelemetry-proto`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from raingauge.contracts.otlp.attributes import PRESENCE, Attributes, Value, count, number
from raingauge.contracts.otlp.wire import (
    DEPTH_MAX,
    Block,
    Buckets,
    Log,
    Point,
    Span,
    Whole,
    content,
    fingerprint,
    stream,
)
from raingauge.contracts.otlp.wire.buckets import explicit, exponential
from raingauge.errors import Undecodable

REQUESTS: Final[dict[str, type[Message]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}

_SCALARS: Final = frozenset({"string_value", "int_value", "double_value", "bool_value"})
_NOT_RECORDED: Final = 1


def well_formed(body: bytes, signal: str) -> bool:
    """Whether a body parses as this signal's request. An empty one does: it is an empty request."""
    try:
        REQUESTS[signal].FromString(body)
    except DecodeError:
        return False
    return True


def read_spans(body: bytes, allowed: frozenset[str]) -> Iterator[Block[Span]]:
    """Spans of an ExportTraceServiceRequest. Raises Undecodable when the body is none."""
    for resource_spans in parsed(ExportTraceServiceRequest, body).resource_spans:
        shared = attributes_of(resource_spans.resource.attributes, allowed, {})
        for scope_spans in resource_spans.scope_spans:
            records: list[Span | None] = [
                (
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    span.name,
                    span.kind,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.code,
                    attributes_of(span.attributes, allowed, shared),
                )
                for span in scope_spans.spans
            ]
            yield Block(shared, scope_spans.scope.name, records)


def read_points(body: bytes, allowed: frozenset[str]) -> Iterator[Block[Point]]:
    """Data points of an ExportMetricsServiceRequest, metric by metric. Raises Undecodable when the body is none."""
    for resource_metrics in parsed(ExportMetricsServiceRequest, body).resource_metrics:
        resource = resource_metrics.resource.attributes
        shared = attributes_of(resource, allowed, {})
        for scope_metrics in resource_metrics.scope_metrics:
            records: list[Point | None] = []
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind) if kind else None
                temporality = getattr(data, "aggregation_temporality", 0)
                records += [
                    _point(metric.name, kind, temporality, point, allowed, shared)
                    for point in (data.data_points if data else ())
                ]
            yield Block(shared, scope_metrics.scope.name, records, _stream(resource, scope_metrics.scope))


def read_logs(body: bytes, allowed: frozenset[str]) -> Iterator[Block[Log]]:
    """Records of an ExportLogsServiceRequest. Raises Undecodable when the body is none."""
    for resource_logs in parsed(ExportLogsServiceRequest, body).resource_logs:
        resource = resource_logs.resource.attributes
        shared = attributes_of(resource, allowed, {})
        for scope_logs in resource_logs.scope_logs:
            records: list[Log | None] = [_log(log, allowed, shared) for log in scope_logs.log_records]
            yield Block(shared, scope_logs.scope.name, records, _stream(resource, scope_logs.scope))


def _log(log: Any, allowed: frozenset[str], shared: Attributes) -> Log:
    return Log(
        log.time_unix_nano or log.observed_time_unix_nano,
        log.event_name,
        log.body.string_value,
        log.severity_number,
        log.trace_id,
        log.span_id,
        lambda: content(all_of(log.attributes), log.body.string_value or _whole(log.body)),
        attributes_of(log.attributes, allowed, shared),
    )


def _point(metric: str, kind: str, temporality: int, point: Any, allowed: frozenset[str], shared: Attributes) -> Point:
    plain = kind in {"sum", "gauge"}
    value: float | None = None
    if not point.flags & _NOT_RECORDED:
        if plain:
            held = point.WhichOneof("value")
            value = float(getattr(point, held)) if held else None
        else:
            value = point.sum
    ranged = kind in {"histogram", "exponential_histogram"}
    return Point(
        metric,
        kind,
        temporality,
        point.start_time_unix_nano,
        point.time_unix_nano,
        value,
        0 if plain else count(point.count),
        number(point.min) if ranged and point.HasField("min") else None,
        number(point.max) if ranged and point.HasField("max") else None,
        _buckets(kind, point),
        all_of(point.attributes),
        attributes_of(point.attributes, allowed, shared),
    )


def _buckets(kind: str, point: Any) -> Buckets | None:
    if kind == "histogram":
        return explicit(point.explicit_bounds, [count(held) for held in point.bucket_counts])
    if kind == "exponential_histogram":
        sides = [
            (side.offset, [count(held) for held in side.bucket_counts]) for side in (point.positive, point.negative)
        ]
        return exponential(point.scale, (point.zero_threshold, count(point.zero_count)), sides[0], sides[1])
    return [], []


def parsed(kind: type[Message], body: bytes) -> Any:
    """The message, typed as Any because the generated classes have no types."""
    try:
        return kind.FromString(body)
    except DecodeError:
        raise Undecodable("the body is not a protobuf message of this signal") from None


def attributes_of(pairs: Any, allowed: frozenset[str], shared: Attributes) -> Attributes:
    """The allowed attributes of a record, on top of those it shares with its resource."""
    found = shared.copy()
    for pair in pairs:
        key = pair.key
        if key not in allowed:
            continue
        held = pair.value
        if key in PRESENCE:
            found[key] = True
        elif value := held.string_value:
            found[key] = value
        elif (other := _value(held)) is not None and other != "":
            found[key] = other
    return found


def all_of(pairs: Any) -> str:
    """The fingerprint of all attributes, listed or not."""
    return fingerprint([(pair.key, pair.value.string_value or _whole(pair.value)) for pair in pairs])


def _stream(resource: Any, scope: Any) -> str:
    return stream(all_of(resource), scope.version, all_of(scope.attributes))


def _whole(held: Any, depth: int = 0) -> Whole:
    """Like `_value`, with lists, maps and bytes."""
    which = held.WhichOneof("value") if depth <= DEPTH_MAX else None
    if which == "array_value":
        return [_whole(one, depth + 1) for one in held.array_value.values]
    if which == "kvlist_value":
        return {one.key: _whole(one.value, depth + 1) for one in held.kvlist_value.values}
    found: Whole = getattr(held, which) if which else None
    return found


def _value(held: Any) -> Value | None:
    """Text, number or boolean; None for lists, maps, bytes and nothing."""
    # WhichOneof is slow, so callers look for text first, which most values are.
    which = held.WhichOneof("value")
    return getattr(held, which) if which in _SCALARS else None
