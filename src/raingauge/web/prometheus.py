"""`GET /metrics`: what all contracts have counted for one customer, as Prometheus text.

Written in both text formats, because scrapers ask for either:
https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Annotated, Any, Final

from litestar import MediaType, Request, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from litestar.response import Stream
from prometheus_client.utils import floatToGoString

from raingauge.contract import Contract, Facts, Family, Sample

CLASSIC_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

LINES_PER_CHUNK: Final = 2_000
"""About 200 KB: a page of ten thousand resolvers is never in memory as a whole."""

UP: Final = Family("raingauge_up", "gauge", "1: this server answers and the page is complete.", (Sample("", 1),))


def metrics_handler(contracts: Sequence[Contract]) -> HTTPRouteHandler:
    """The route that shows the families of all contracts."""
    contributions = [contract.prometheus for contract in contracts if contract.prometheus]

    @get("/metrics", summary="Totals as Prometheus text", media_type=MediaType.TEXT)
    async def metrics(
        request: Request[Any, Any, Any],
        facts: NamedDependency[Facts],
        buckets_per_decade: Annotated[int, Parameter(ge=1, le=18, description="Histogram density.")] = 18,
    ) -> Stream:
        """Totals since the beginning of the caller's customer, in the format that the Accept header prefers."""
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        families = await asyncio.gather(*(contribute(facts, buckets_per_decade) for contribute in contributions))
        return Stream(
            _chunks(lines([*chain.from_iterable(families), UP], openmetrics=openmetrics)),
            headers={
                "content-type": OPENMETRICS_TYPE if openmetrics else CLASSIC_TYPE,
                "cache-control": "no-store",
            },
        )

    return metrics


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is named and not liked less than the classic text (RFC 9110, section 12.5.1)."""
    openmetrics = plain = 0.0
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = _weight(parameters)
        if media_type == "application/openmetrics-text":
            openmetrics = max(openmetrics, weight)
        elif media_type == "text/plain":
            plain = max(plain, weight)
    return openmetrics > 0 and openmetrics >= plain


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def lines(families: Iterable[Family], *, openmetrics: bool) -> Iterator[str]:
    """The page line by line, each with its line end. Families without samples are left out."""
    number = _openmetrics_number if openmetrics else _classic_number
    for family in families:
        samples = iter(family.samples)
        first = next(samples, None)
        if first is None:
            continue
        counter = "_total" if family.kind == "counter" else ""
        described = family.name if openmetrics else family.name + counter
        yield f"# HELP {described} {family.help}\n"
        yield f"# TYPE {described} {family.kind}\n"
        name = family.name + counter
        for labels, value, suffix in chain((first,), samples):
            yield f"{name}{suffix}{{{labels}}} {number(value)}\n" if labels else f"{name}{suffix} {number(value)}\n"
    if openmetrics:
        yield "# EOF\n"


def _classic_number(value: float) -> str:
    return str(value) if isinstance(value, int) else str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _openmetrics_number(value: float) -> str:
    return f"{value}.0" if isinstance(value, int) else _classic_number(value)


def _chunks(text: Iterator[str]) -> Iterator[str]:
    while chunk := "".join(islice(text, LINES_PER_CHUNK)):
        yield chunk
