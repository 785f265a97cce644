"""Metrics to point rows. Sums stay as they were sent: they are added up or differenced in the store."""

from __future__ import annotations

import math
from typing import Any, Final

from raingauge.contract import Decoded, Reason, Received, Reject
from raingauge.contracts.otlp.attributes import POINTS_ONLY, TEXT_MAX_CHARACTERS, label
from raingauge.contracts.otlp.decode.shared import (
    Clock,
    Labels,
    Tools,
    decision_of,
    hash64,
    listed,
    model_of,
    query_source_of,
    status_of,
)
from raingauge.contracts.otlp.knobs import BUCKETS_PER_POINT, REPOSITORY_ATTRIBUTE, SERIES_PER_MESSAGE
from raingauge.contracts.otlp.people import People
from raingauge.contracts.otlp.repository import repository_of
from raingauge.contracts.otlp.sources import Origin
from raingauge.contracts.otlp.spend import measured, point_type
from raingauge.contracts.otlp.tables import POINTS
from raingauge.contracts.otlp.wire import PROTOBUF, Block, Point, Read, json, protobuf

_TEMPORALITIES: Final = {1: "delta", 2: "cumulative"}


def decode_metrics(body: bytes, received: Received) -> Decoded:
    """One row or one reject per data point, in wire order. Raises Undecodable for a body that is no request at all."""
    read: Read[Point] = protobuf.read_points if received.content_type.startswith(PROTOBUF) else json.read_points
    rows_of = _Points(received)
    for block in read(body, listed(received) | POINTS_ONLY):
        rows_of.add(block)
    return rows_of.decoded()


class _Points:
    def __init__(self, received: Received) -> None:
        self._identity_key = received.identity_key
        self._repository_attribute = received.settings[REPOSITORY_ATTRIBUTE]
        self._buckets_max = received.settings[BUCKETS_PER_POINT]
        self._series_max = received.settings[SERIES_PER_MESSAGE]
        self._people, self._clock, self._tools = People(received), Clock(received), Tools(received)
        self._labels = Labels(received)
        self._series: set[int] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._rejects: list[Reject] = []

    def add(self, block: Block[Point]) -> None:
        origin = Origin(block.resource, block.scope, (record[-1] for record in block.records if record))
        stream = f"{block.all_attributes}\n{block.scope}"
        for point in block.records:
            position = len(self._rows) + len(self._rejects)
            if problem := self._problem(point):
                self._rejects.append(Reject(problem[0], position, problem[1], quarantined=True))
            elif point is not None:
                series = hash64(f"{stream}\n{point.metric}\n{point.kind}\n{point.all_attributes}", self._identity_key)
                if series not in self._series and len(self._series) >= self._series_max:
                    self._rejects.append(Reject(Reason.SERIES_LIMIT, position))
                else:
                    self._series.add(series)
                    self._rows.append((position, series, *self._row(origin, point)))

    def decoded(self) -> Decoded:
        items = len(self._rows) + len(self._rejects)
        return Decoded(items, {POINTS.name: self._rows}, self._rejects, self._people.named())

    def _problem(self, point: Point | None) -> tuple[Reason, str] | None:
        """Why a point cannot be stored, and the field that is to blame."""
        if point is None:
            return Reason.INVALID_FIELD, "dataPoints"
        if not point.metric:
            return Reason.MISSING_FIELD, "name"
        if point.value is None or not math.isfinite(point.value):
            return Reason.MISSING_FIELD if point.value is None else Reason.INVALID_FIELD, "value"
        if point.buckets is None:
            return Reason.INVALID_FIELD, "bucketCounts"
        return (Reason.TOO_LARGE, "bucketCounts") if len(point.buckets[0]) > self._buckets_max else None

    def _row(self, origin: Origin, point: Point) -> tuple[Any, ...]:
        attributes = point.attributes
        time_us, timing = self._clock.placed(point.time_ns)
        source = origin.source(point.metric, attributes)
        model = model_of(attributes)
        kind = point_type(attributes)
        return (
            min(point.start_ns // 1000, time_us),
            time_us,
            point.metric[:TEXT_MAX_CHARACTERS],
            point.kind,
            _TEMPORALITIES.get(point.temporality, ""),
            point.value,
            point.entries,
            point.minimum,
            point.maximum,
            *(point.buckets or ([], [])),
            kind,
            decision_of(attributes)[0] or status_of(0, attributes),
            source,
            origin.service,
            self._people.key(source, attributes),
            repository_of(attributes, self._repository_attribute),
            model,
            self._tools.name(attributes) or label(attributes.get("tool")),
            *self._labels.of(attributes),
            query_source_of(attributes),
            *measured(source, point.metric, kind, model, time_us),
            timing,
        )
