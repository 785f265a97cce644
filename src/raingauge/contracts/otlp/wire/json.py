"""OTLP/JSON. Field names and rules: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

A message is decoded in one typed pass. When any member has a type it must not have, the message is taken apart
and each record is decoded alone, so that one bad record costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from raingauge.contracts.otlp.attributes import Attributes, count, number
from raingauge.contracts.otlp.wire import Block, Buckets, Log, Point, Span, content, stream
from raingauge.contracts.otlp.wire.buckets import explicit, exponential
from raingauge.contracts.otlp.wire.messages import (
    Data,
    LogItem,
    LogsRequest,
    MetricItem,
    MetricsRequest,
    OpenedRequest,
    PointItem,
    Resource,
    Scope,
    Side,
    SpanItem,
    TracesRequest,
)
from raingauge.contracts.otlp.wire.values import (
    Allowed,
    all_of,
    attributes_of,
    double,
    identifier,
    integer,
    nanoseconds,
    numbers,
    whole_of,
)
from raingauge.errors import Undecodable

ItemT = TypeVar("ItemT")
Scoped: TypeAlias = tuple[Resource | None, Scope | None, Iterable[ItemT | None]]

_OPENED: Final = msgspec.json.Decoder(OpenedRequest)
_TRACES: Final = msgspec.json.Decoder(TracesRequest)
_METRICS: Final = msgspec.json.Decoder(MetricsRequest)
_LOGS: Final = msgspec.json.Decoder(LogsRequest)
_RESOURCE: Final = msgspec.json.Decoder(Resource)
_SCOPE: Final = msgspec.json.Decoder(Scope)
_SPAN: Final = msgspec.json.Decoder(SpanItem)
_METRIC: Final = msgspec.json.Decoder(MetricItem)
_POINT: Final = msgspec.json.Decoder(PointItem)
_LOG: Final = msgspec.json.Decoder(LogItem)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw] | None)
_ENVELOPES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw] | None] | None)
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError)
_KINDS: Final = ("sum", "gauge", "histogram", "exponential_histogram", "summary")
_NOT_RECORDED: Final = 1
_MENDED_MAX_BYTES: Final = 4 * 1024 * 1024
# The run of escaped backslashes in front belongs to the match, so that `\\\\ud83d` is read as a backslash and text.
_LONE_HALF: Final = re.compile(
    rb"""(?<!\\)((?:\\\\)*)\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"""
    rb"""|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"""
)


def well_formed(body: bytes, envelopes: str) -> bool:
    """Whether a body is a JSON object whose member `envelopes`, if present, is a list of objects. Nothing is kept."""
    try:
        if not body.isascii():
            body.decode()
        if _opens(body):
            return True
        members = _MEMBERS.decode(body)
        if envelopes in members:
            _ENVELOPES.decode(members[envelopes])
    except (*_UNREADABLE, UnicodeDecodeError):
        mended = _mended(body)
        return mended != body and well_formed(mended, envelopes)
    return True


def _opens(body: bytes) -> bool:
    """Whether a body is a request in which no envelope of any signal is amiss: a usual one, looked at once only."""
    try:
        _OPENED.decode(body)
    except _UNREADABLE:
        return False
    return True


def read_spans(body: bytes, allowed: Allowed) -> Iterator[Block[Span]]:
    """Spans of an ExportTraceServiceRequest. Raises Undecodable when the body is not a JSON object with a list."""
    path = ("resourceSpans", "scopeSpans", "spans")
    for resource, scope, items in _scoped(body, _TRACES, path, lambda raw: _try(_SPAN, raw)):
        shared = attributes_of(resource.attributes, allowed, {}) if resource else {}
        yield Block(shared, _name(scope), [_span(item, allowed, shared) if item else None for item in items])


def read_points(body: bytes, allowed: Allowed) -> Iterator[Block[Point]]:
    """Data points of an ExportMetricsServiceRequest, metric by metric. Raises Undecodable like `read_spans`."""
    path = ("resourceMetrics", "scopeMetrics", "metrics")
    for resource, scope, items in _scoped(body, _METRICS, path, _salvaged_metric):
        shared = attributes_of(resource.attributes, allowed, {}) if resource else {}
        points = [point for item in items for point in _points(item, allowed, shared)]
        yield Block(shared, _name(scope), points, _stream(resource, scope))


def read_logs(body: bytes, allowed: Allowed) -> Iterator[Block[Log]]:
    """Records of an ExportLogsServiceRequest. Raises Undecodable like `read_spans`."""
    path = ("resourceLogs", "scopeLogs", "logRecords")
    for resource, scope, items in _scoped(body, _LOGS, path, lambda raw: _try(_LOG, raw)):
        shared = attributes_of(resource.attributes, allowed, {}) if resource else {}
        logs = [_log(item, allowed, shared) if item else None for item in items]
        yield Block(shared, _name(scope), logs, _stream(resource, scope))


def _name(scope: Scope | None) -> str:
    return (scope.name or "") if scope else ""


def _stream(resource: Resource | None, scope: Scope | None) -> str:
    """What tells a resource and a scope from all others, besides the scope's name."""
    version = scope.version if scope and isinstance(scope.version, str) else ""
    return stream(
        all_of(resource.attributes if resource else None), version, all_of(scope.attributes if scope else None)
    )


def _span(item: SpanItem, allowed: Allowed, shared: Attributes) -> Span:
    return (
        identifier(item.trace_id),
        identifier(item.span_id),
        identifier(item.parent_span_id),
        item.name or "",
        integer(item.kind),
        nanoseconds(item.start_time_unix_nano),
        nanoseconds(item.end_time_unix_nano),
        integer(item.status.code) if item.status else 0,
        attributes_of(item.attributes, allowed, shared),
    )


def _log(item: LogItem, allowed: Allowed, shared: Attributes) -> Log:
    body = whole_of(item.body)
    return Log(
        nanoseconds(item.time_unix_nano) or nanoseconds(item.observed_time_unix_nano),
        item.event_name or "",
        body if isinstance(body, str) else "",
        integer(item.severity_number),
        identifier(item.trace_id),
        identifier(item.span_id),
        lambda: content(all_of(item.attributes), body),
        attributes_of(item.attributes, allowed, shared),
    )


def _points(item: MetricItem | None, allowed: Allowed, shared: Attributes) -> Iterator[Point | None]:
    """A metric's points; one unreadable point for a metric that is unreadable as a whole."""
    if item is None:
        yield None
        return
    for kind in _KINDS:
        data: Data | None = getattr(item, kind)
        for point in (data.data_points or ()) if data else ():
            temporality = integer(data.aggregation_temporality) if data else 0
            yield _point(item.name or "", kind, temporality, point, allowed, shared) if point else None


def _point(metric: str, kind: str, temporality: int, point: PointItem, allowed: Allowed, shared: Attributes) -> Point:
    value: float | None = None
    if not integer(point.flags) & _NOT_RECORDED:
        plain = kind in {"sum", "gauge"}
        given = (point.as_int if point.as_double is None else point.as_double) if plain else point.sum or 0
        value = double(given)
    return Point(
        metric,
        kind,
        temporality,
        nanoseconds(point.start_time_unix_nano),
        nanoseconds(point.time_unix_nano),
        value,
        count(point.count),
        number(double(point.min)),
        number(double(point.max)),
        _buckets(kind, point),
        all_of(point.attributes),
        attributes_of(point.attributes, allowed, shared),
    )


def _buckets(kind: str, point: PointItem) -> Buckets | None:
    if kind == "histogram":
        bounds = numbers(point.explicit_bounds)
        return None if bounds is None else explicit(bounds, [count(held) for held in point.bucket_counts or ()])
    if kind == "exponential_histogram":
        zero = double(point.zero_threshold) or 0.0, count(point.zero_count)
        return exponential(integer(point.scale), zero, _side(point.positive), _side(point.negative))
    return [], []


def _side(side: Side | None) -> tuple[int, list[int]]:
    return (integer(side.offset), [count(held) for held in side.bucket_counts or ()]) if side else (0, [])


# ---- one bad record ----------------------------------------------------------------------------------------


def _scoped(
    body: bytes,
    whole: msgspec.json.Decoder[Any],
    path: tuple[str, str, str],
    salvage: Callable[[msgspec.Raw], ItemT | None],
) -> Iterator[Scoped[ItemT]]:
    """Resource, scope and items, from the message in one pass or, with something wrong in it, one by one."""
    try:
        request = whole.decode(body)
    except _UNREADABLE:
        yield from _salvaged(_mended(body), path, salvage)
        return
    for envelope in request.resources or ():
        for scope in (envelope.scopes or ()) if envelope else ():
            if scope:
                yield envelope.resource, scope.scope, scope.items or ()


def _salvaged(
    body: bytes, path: tuple[str, str, str], salvage: Callable[[msgspec.Raw], ItemT | None]
) -> Iterator[Scoped[ItemT]]:
    """Everything readable in a message. An envelope that cannot be opened counts as one unreadable record."""
    outer, middle, inner = path
    try:
        envelopes = _items(_MEMBERS.decode(body).get(outer))
    except _UNREADABLE:
        envelopes = None
    if envelopes is None:
        raise Undecodable(f"the body is not a JSON object with a list of {outer}")
    for envelope in envelopes:
        members = _try(_MEMBERS, envelope) or {}
        resource = _try(_RESOURCE, members.get("resource"))
        scopes = _items(members.get(middle))
        if scopes is None:
            yield resource, None, [None]
            continue
        for scope in scopes:
            parts = _try(_MEMBERS, scope) or {}
            items = _items(parts.get(inner))
            found = [None] if items is None else [salvage(item) for item in items]
            yield resource, _try(_SCOPE, parts.get("scope")), found


def _mended(body: bytes) -> bytes:
    """The body with lone halves of surrogate pairs replaced, unless it is too large to search on the receive path.

    JavaScript cuts long text at a number of UTF-16 units, which may be the middle of an emoji, and writes the half.
    """
    return body if len(body) > _MENDED_MAX_BYTES else _LONE_HALF.sub(rb"\1\\ufffd", body)


def _salvaged_metric(raw: msgspec.Raw) -> MetricItem | None:
    """A metric with its readable points; the others are None."""
    if whole := _try(_METRIC, raw):
        return whole
    members = _try(_MEMBERS, raw) or {}
    # Without its points, everything that is left of a metric is small and has one type.
    name = _try(_TEXT, members.get("name"))
    for kind, wire_name in zip(_KINDS, _WIRE_KINDS, strict=True):
        data = _try(_MEMBERS, members.get(wire_name))
        if data is not None and (points := _items(data.get("dataPoints"))) is not None:
            temporality = _try(_NUMBER, data.get("aggregationTemporality")) or 0
            return MetricItem(name=name, **{kind: Data(temporality, [_try(_POINT, point) for point in points])})
    return None


_TEXT: Final = msgspec.json.Decoder(str | None)
_NUMBER: Final = msgspec.json.Decoder(int | str | None)
_WIRE_KINDS: Final = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")


def _items(raw: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Elements of a list; none of an absent one; None when it is something else."""
    if raw is None:
        return []
    try:
        return _ITEMS.decode(raw) or []
    except _UNREADABLE:
        return None


def _try(decoder: msgspec.json.Decoder[ItemT], raw: msgspec.Raw | None) -> ItemT | None:
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except _UNREADABLE:
        return None
