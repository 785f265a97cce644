"""OTLP/JSON messages: the members that are read, with the types they must have.

https://github.com/open-telemetry/opentelemetry-proto; members that are not named here are skipped by the parser.
`Any` stands where senders use several types for one member.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec


class _Wire(msgspec.Struct, rename="camel", gc=False):
    """Names on the wire are lowerCamelCase. No cycles are possible, so the collector need not look at these."""


class AnyValue(_Wire):
    """Members are untyped because relays spell one value in several ways; `_value` knows them all."""

    string_value: Any = None
    int_value: Any = None
    double_value: Any = None
    bool_value: Any = None
    array_value: Any = None
    kvlist_value: Any = None
    bytes_value: Any = None


class KeyValue(_Wire):
    key: str = ""
    value: AnyValue | None = None


class Resource(_Wire):
    attributes: list[KeyValue] | None = None


class Scope(_Wire):
    name: str | None = None
    version: Any = None
    attributes: list[KeyValue] | None = None


class Status(_Wire):
    code: Any = 0


class SpanItem(_Wire):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: Any = 0
    start_time_unix_nano: Any = 0
    end_time_unix_nano: Any = 0
    status: Status | None = None
    attributes: list[KeyValue] | None = None


class Side(_Wire):
    """One side of an exponential histogram."""

    offset: Any = 0
    bucket_counts: list[Any] | None = None


class PointItem(_Wire):
    """A data point of any of the five kinds."""

    attributes: list[KeyValue] | None = None
    start_time_unix_nano: Any = 0
    time_unix_nano: Any = 0
    flags: Any = 0
    as_int: Any = None
    as_double: Any = None
    count: Any = 0
    sum: Any = None
    min: Any = None
    max: Any = None
    bucket_counts: list[Any] | None = None
    explicit_bounds: list[Any] | None = None
    scale: Any = 0
    zero_count: Any = 0
    zero_threshold: Any = 0
    positive: Side | None = None
    negative: Side | None = None


class Data(_Wire):
    aggregation_temporality: Any = 0
    data_points: list[PointItem | None] | None = None


class MetricItem(_Wire):
    name: str | None = None
    sum: Data | None = None
    gauge: Data | None = None
    histogram: Data | None = None
    exponential_histogram: Data | None = None
    summary: Data | None = None


class LogItem(_Wire):
    time_unix_nano: Any = 0
    observed_time_unix_nano: Any = 0
    event_name: str | None = None
    body: AnyValue | None = None
    severity_number: Any = 0
    trace_id: str | None = None
    span_id: str | None = None
    attributes: list[KeyValue] | None = None


class ScopeSpans(_Wire):
    scope: Scope | None = None
    items: list[SpanItem | None] | None = msgspec.field(default=None, name="spans")


class ResourceSpans(_Wire):
    resource: Resource | None = None
    scopes: list[ScopeSpans | None] | None = msgspec.field(default=None, name="scopeSpans")


class TracesRequest(_Wire):
    resources: list[ResourceSpans | None] | None = msgspec.field(default=None, name="resourceSpans")


class ScopeMetrics(_Wire):
    scope: Scope | None = None
    items: list[MetricItem | None] | None = msgspec.field(default=None, name="metrics")


class ResourceMetrics(_Wire):
    resource: Resource | None = None
    scopes: list[ScopeMetrics | None] | None = msgspec.field(default=None, name="scopeMetrics")


class MetricsRequest(_Wire):
    resources: list[ResourceMetrics | None] | None = msgspec.field(default=None, name="resourceMetrics")


class ScopeLogs(_Wire):
    scope: Scope | None = None
    items: list[LogItem | None] | None = msgspec.field(default=None, name="logRecords")


class ResourceLogs(_Wire):
    resource: Resource | None = None
    scopes: list[ScopeLogs | None] | None = msgspec.field(default=None, name="scopeLogs")


class LogsRequest(_Wire):
    resources: list[ResourceLogs | None] | None = msgspec.field(default=None, name="resourceLogs")


_Envelopes: TypeAlias = list[dict[str, msgspec.Raw] | None] | None


class OpenedRequest(_Wire):
    """A request of any signal down to its envelopes, whose members are seen and not read."""

    resource_spans: _Envelopes = None
    resource_metrics: _Envelopes = None
    resource_logs: _Envelopes = None
