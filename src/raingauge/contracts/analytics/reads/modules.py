"""`GET /api/analytics/modules`: how much each module is used."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, View, bound, statement


class ModuleUse(msgspec.Struct, frozen=True):
    """`events` are feature_used rows (corrected: without those that repeat an error), `errors` error_occurred rows."""

    module: str
    events: int
    errors: int
    installations: int


class EventUse(msgspec.Struct, frozen=True):
    """What a background module did: feature_used rows by phase, event and outcome."""

    module: str
    phase: str
    event: str
    outcome: str
    events: int


_MODULES: Final = """
    SELECT module, sum(used) - {corrected:UInt8} * sum(twins) AS events, sum(raised) AS errors,
        $number_of(a.installations) AS installations
    FROM $activity_sets AS a WHERE counted AND $sets_filter
    GROUP BY module ORDER BY events DESC, module LIMIT {limit:UInt32}
"""
_EVENTS: Final = """
    SELECT module, phase, event, outcome, sum(used) AS events FROM $steps WHERE event != '' AND $filter
    GROUP BY module, phase, event, outcome HAVING events > 0
    ORDER BY events DESC, module, phase, event, outcome LIMIT {limit:UInt32}
"""


@get("/api/analytics/modules", dependencies=FILTERS)
async def modules(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    view: View = "contract",
    by: Annotated[Literal["module", "event"], QueryParameter(description="What a row is.")] = "module",
) -> Page[list[ModuleUse]] | Page[list[EventUse]]:
    """Events, errors and installations of each module; or what the background modules did."""
    values = bound(window, filters, view)
    if by == "event":
        return await facts.page(window, statement(facts, _EVENTS, filters), EventUse, **values)
    return await facts.page(window, statement(facts, _MODULES, filters, names_dimension=True), ModuleUse, **values)
